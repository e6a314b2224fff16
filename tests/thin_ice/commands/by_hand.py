"""Statistics written out plainly, with loops, for holding a report's numbers against."""

import math
from statistics import NormalDist, mean, median, stdev

import numpy as np

Z = NormalDist().inv_cdf(0.975)
NAN = float("nan")


def share(flags):
    flags = list(flags)
    return sum(map(bool, flags)) / len(flags) if flags else NAN


def wilson(count, total):
    """Share and its interval."""
    if not total:
        return NAN, NAN, NAN
    p, square = count / total, Z * Z / total
    middle = (p + square / 2) / (1 + square)
    half = Z * math.sqrt(p * (1 - p) / total + square / (4 * total)) / (1 + square)
    low = p if count == 0 else middle - half
    return p, low, p if count == total else middle + half


def spread(values):
    """Mean and standard deviation over seeds, NaN of one."""
    return mean(values), stdev(values) if len(values) > 1 else NAN


def quantile(values, q):
    """Between the two nearest ranks, in proportion."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    if ordered[low] == ordered[high]:
        return ordered[low]
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def middle(values):
    return median(values) if values else NAN


def auroc(nearer, farther):
    """Over all pairs: how often the first is the smaller; a tie is a half."""
    if not nearer or not farther:
        return NAN
    wins = sum(1 if a < b else 0.5 if a == b else 0 for a in nearer for b in farther)
    return wins / (len(nearer) * len(farther))


def newcombe(value, first, second):
    """The two ends of Newcombe's fifth method, by bisection."""

    def sd(t):
        spread_ = 1 + ((first + second) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return math.sqrt(t * (1 - t) * spread_ / (first * second))

    def search(inside, outside):
        for _ in range(200):
            t = (inside + outside) / 2
            if abs(value - t) <= Z * sd(t):
                inside = t
            else:
                outside = t
        return inside

    low = search(value - 1e-9, 0.0) if value > 1e-9 else 0.0
    return low, search(value + 1e-9, 1.0) if value < 1 - 1e-9 else 1.0


def drawn(size, rng):
    """Places of a resample with replacement."""
    return [int(place) for place in rng.integers(size, size=size)]


def auroc_with_interval(nearer, farther, resamples, rng):
    """The wider of the percentile bootstrap's and Newcombe's at each end."""
    value = auroc(nearer, farther)
    if math.isnan(value):
        return NAN, NAN, NAN
    draws = []
    for _ in range(resamples):
        first = [nearer[place] for place in drawn(len(nearer), rng)]
        second = [farther[place] for place in drawn(len(farther), rng)]
        draws.append(auroc(first, second))
    low, high = newcombe(value, len(nearer), len(farther))
    return value, min(quantile(draws, 0.025), low), max(quantile(draws, 0.975), high)


def paired_points(differences, resamples, seed):
    """Mean of differences in points, and its bootstrap with one lost and one gained added."""
    counts = {}
    for value in [*differences, -1.0, 1.0]:
        counts[value] = counts.get(value, 0) + 1
    values, size = sorted(counts), len(differences) + 2
    chances = np.array([counts[value] for value in values]) / size
    draws = np.random.default_rng(seed).multinomial(size, chances, size=resamples)
    means = [sum(n * v for n, v in zip(draw, values, strict=True)) / size for draw in draws]
    ends = [100 * quantile(means, q) for q in (0.025, 0.975)]
    return 100 * mean(differences), *ends


def kept_percent(before, after, resamples, seed):
    """What is right afterwards in percent of what was before; at each end the farther of a
    bootstrap of the four kinds of samples and of Bonett and Price's interval.
    """
    kinds = [(True, True), (True, False), (False, True), (False, False)]
    pairs = list(zip(before, after, strict=True))
    counts = [pairs.count(kind) for kind in kinds]
    if not any(before):
        return NAN, NAN, NAN
    draws = np.random.default_rng(seed).multinomial(
        len(pairs), np.array(counts) / len(pairs), size=resamples
    )
    ratios = [(a + c) / (a + b) for a, b, c, _ in draws.tolist() if a + b]
    low, high = bonett_price(*counts[:3])
    low, high = min(low, quantile(ratios, 0.025)), max(high, quantile(ratios, 0.975))
    return 100 * sum(after) / sum(before), 100 * low, 100 * high


def bonett_price(both, first, second):
    """Ends of a ratio of paired shares, the second network's to the first's. Wilson's ends are the
    roots of (share - x)^2 = level^2 x (1 - x) / size.
    """
    size, right = both + first + second, (both + second, both + first)
    shares = [(count + 1) / (size + 2) for count in right]
    single = [math.sqrt((1 - p) / (count + 1)) for p, count in zip(shares, right, strict=True)]
    joint = math.sqrt((first + second + 2) / math.prod(count + 1 for count in right))
    square = (Z * joint / sum(single)) ** 2 / size
    ends = [
        sorted(np.roots([1 + square, -2 * count / size - square, (count / size) ** 2]).real)
        for count in right
    ]
    return ends[0][0] / ends[1][1], ends[0][1] / ends[1][0]


def optimality(found, envelope):
    """One less the area lost between an attack's curve and the envelope's, over all there is."""
    finite = [d for d in envelope if math.isfinite(d)]
    if not finite:
        return NAN
    end = max(finite)
    area, least = (mean(min(d, end) for d in values) for values in (found, envelope))
    return 1.0 if area == least else 1 - (area - least) / (end - least)


def falling_fit(distances, lost):
    """Steps (from, to, share, samples, lost) of the least-squares fit that never rises: blocks of
    equal distance, merged while a farther one has the larger share.
    """
    blocks = []
    for distance in sorted(set(distances)):
        here = [flag for d, flag in zip(distances, lost, strict=True) if d == distance]
        blocks.append([distance, distance, sum(here), len(here)])
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][3] <= blocks[-1][2] * blocks[-2][3]:
            last = blocks.pop()
            blocks[-1][1:] = last[1], blocks[-1][2] + last[2], blocks[-1][3] + last[3]
    return [(start, end, hits / size, size, hits) for start, end, hits, size in blocks]


def thickness(distances, lost, q):
    """The far end of the last step whose share lies above q."""
    ends = [end for _, end, height, _, _ in falling_fit(distances, lost) if height > q + 1e-12]
    return max(ends, default=0.0)


def average_precision(scores, lost):
    """Precision among the flagged, lowest first and ties together, averaged over the lost."""
    total, flagged, hits, value = sum(lost), 0, 0, 0.0
    for score in sorted(set(scores)):
        here = [flag for s, flag in zip(scores, lost, strict=True) if s == score]
        flagged, hits = flagged + len(here), hits + sum(here)
        value += sum(here) * hits / flagged
    return value / total


def mann_whitney_p(first, second):
    """Two-sided, normal approximation, corrected for ties and continuity."""
    n, m = len(first), len(second)
    u = auroc(first, second) * n * m
    both = [*first, *second]
    ties = sum(both.count(v) ** 3 - both.count(v) for v in set(both))
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0 if abs(u - n * m / 2) < 1e-9 else NAN
    z = (abs(u - n * m / 2) - 0.5) / math.sqrt(variance)
    return min(1.0, math.erfc(z / math.sqrt(2)))


def adjusted(values):
    """Benjamini and Yekutieli, step up from the largest."""
    counted = sorted((p, at) for at, p in enumerate(values) if not math.isnan(p))
    n, least, found = len(counted), 1.0, [NAN] * len(values)
    harmonic = sum(1 / k for k in range(1, n + 1))
    for rank in range(n, 0, -1):
        p, at = counted[rank - 1]
        least = min(least, p * n * harmonic / rank)
        found[at] = least
    return found


def fisher_p(lost, kept, other_lost, other_kept):
    """Two-sided: all tables with these margins that are no likelier than the one seen."""
    if lost + kept == 0 or other_lost + other_kept == 0:
        return NAN
    rows, columns, total = lost + kept, lost + other_lost, lost + kept + other_lost + other_kept

    def chance(a):
        return math.comb(columns, a) * math.comb(total - columns, rows - a)

    possible = range(max(0, rows + columns - total), min(rows, columns) + 1)
    ways = [chance(a) for a in possible]
    return sum(one for one in ways if one <= chance(lost) * (1 + 1e-7)) / sum(ways)


def jaccard_by_chance(a, b, samples):
    """Over every size that the intersection of two random sets can have."""
    if a + b == 0:
        return NAN
    value = 0.0
    for both in range(max(0, a + b - samples), min(a, b) + 1):
        ways = math.comb(a, both) * math.comb(samples - a, b - both) / math.comb(samples, b)
        value += ways * both / (a + b - both)
    return value


def ranks(values):
    """From 1, ties at their mean."""
    ordered = sorted(values)
    first = {}
    for place, value in enumerate(ordered):
        first.setdefault(value, place)
    return [first[v] + (ordered.count(v) + 1) / 2 for v in values]


def spearman(first, second):
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return NAN
    a, b = ranks(first), ranks(second)
    da, db = [x - mean(a) for x in a], [y - mean(b) for y in b]
    products = sum(x * y for x, y in zip(da, db, strict=True))
    return products / math.sqrt(sum(x * x for x in da) * sum(y * y for y in db))


def median_interval(values):
    """The innermost two values, as many in from either end, that the median lies beyond with a
    chance of 2.5 % each at most; none of fewer than six.
    """
    ordered, found = sorted(values), (NAN, NAN)
    for k in range(1, len(ordered) // 2 + 1):
        if tail(k - 1, len(ordered), 0.5, most=True) > 0.025:
            break
        found = ordered[k - 1], ordered[-k]
    return found


def equal_bins(values, bins):
    """Upper ends of bins with equally many values: each end is a value that occurs."""
    ordered = sorted(values)
    ends = {ordered[max(0, math.ceil(len(ordered) * k / bins) - 1)] for k in range(1, bins + 1)}
    return [0.0, *sorted(ends)]


def bin_of(value, edges):
    """From 1; a value on an edge is in the nearer bin."""
    inner = edges[1:-1]
    return 1 + sum(value > edge for edge in inner)


def rank_quantile(values, q):
    """The least value with a share q at or below it."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)]


def tail(hits, size, q, most):
    """Binomial chance of at most (or of at least) so many hits."""
    counts = range(hits + 1) if most else range(hits, size + 1)
    return sum(math.comb(size, k) * q**k * (1 - q) ** (size - k) for k in counts)


def thickness_bounds(distances, lost, q):
    """Walking away from the estimate, outwards and inwards: the first distance at which the samples
    in between have too few losses for a chance above q, or too many for one below.
    """
    value, rows = thickness(distances, lost, q), sorted(zip(distances, lost, strict=True))
    ends = []
    for outwards, end in ((False, 0.0), (True, rows[-1][0])):
        walked = [row for row in rows if (row[0] > value) is outwards]
        stops = sorted({d for d, _ in walked}, reverse=not outwards)
        for stop in stops:
            here = [flag for d, flag in walked if (d <= stop if outwards else d >= stop)]
            if tail(sum(here), len(here), q, most=outwards) <= 0.025:
                end = stop
                break
        ends.append(end)
    return ends
