// What a browser knows of the report's page, written into it as JSON once everything is loaded.
window.addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (one) => one.tagName + (one.id ? "#" + one.id : "") + " " + one.textContent.trim().slice(0, 40);
  all("details").forEach((one) => { one.open = true; });
  const room = document.documentElement.clientWidth;
  const inside = (one) => one.parentElement.closest(".wide, pre, svg");  // these scroll on their own
  const box = (one) => one.getBoundingClientRect();
  const shown = (one) => box(one).width > 0 && box(one).height > 0;
  const block = (one) => shown(one) && !getComputedStyle(one).display.startsWith("inline");
  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const overlaps = [];
  all("body, body *:not(table, thead, tbody, tr, td)").forEach((parent) => {
    const blocks = [...parent.children].filter(block);
    blocks.forEach((one, n) => blocks.slice(n + 1).forEach((other) => {
      if (overlap(box(one), box(other))) overlaps.push(named(one) + " | " + named(other));
    }));
  });
  const links = all("a[href]").map((one) => one.getAttribute("href"));
  const levels = all("h1, h2, h3, h4, h5, h6").map((one) => Number(one.tagName[1]));
  const text = (one) => [...one.children].filter((part) => !/^H\d$/.test(part.tagName))
    .map((part) => part.textContent.trim()).join("");
  const found = {
    width: window.innerWidth,
    requests: performance.getEntriesByType("resource").map((one) => one.name)
      .filter((name) => !name.startsWith("data:")),
    wide: (document.documentElement.scrollWidth > window.innerWidth ? ["the page"] : []).concat(
      all("body *").filter((one) => shown(one) && !inside(one) &&
        (box(one).right > room + 1 || box(one).left < -1)).map(named)),
    loaded: all("img").filter((one) => one.complete && one.naturalWidth > 0).map((one) => one.alt),
    pictures: all("img").filter((one) => !(one.complete && one.naturalWidth > 0)).map(named),
    overlaps: overlaps,
    dangling: links.filter((link) => link.startsWith("#") && !document.getElementById(link.slice(1))),
    files: links.filter((link) => !link.startsWith("#")),
    bare: all("main section, figure").filter((one) => text(one) === "").map(named),
    skipped: levels.filter((level, n) => level > (n ? levels[n - 1] : 0) + 1),
    unnamed: all("img").filter((one) => !one.alt.trim()).map(named),
    unscoped: all("th:not([scope])").map(named),
    navigation: all("nav a").map((one) => one.getAttribute("href").slice(1)),
    sections: all("section").map((one) => one.id),
  };
  const place = document.createElement("script");
  place.type = "application/json";
  place.id = "measured";
  place.textContent = JSON.stringify(found);
  document.body.append(place);
});
