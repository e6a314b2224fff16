"""The one training loop. Dense training, learned pruning and fine-tuning all run through it.

Data stay on the device as uint8; every random number comes from a stream named by stage, epoch
and step; nothing is read on the host within an epoch.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from thin_ice import interruption
from thin_ice.catastrophe import warn_of
from thin_ice.checkpoint import Checkpoint
from thin_ice.errors import ThinIceError
from thin_ice.progress import Progress
from thin_ice.randomness import generator
from thin_ice.sparsity.parametrizations import weights_computed_once
from thin_ice.training.hooks import Hooks, Row
from thin_ice.training.schedules import learning_rate
from thin_ice.training.setting import Setting
from thin_ice.training.state import Begun, TrainingState, make_optimizer
from thin_ice.training.validation import score, validate


class TrainingDiverged(ThinIceError):
    """The loss became NaN or infinite."""


def fit(model: nn.Module, setting: Setting, hooks: Hooks, checkpoint: Checkpoint) -> list[Row]:
    """Train ``model`` in place, from its checkpoint if there is one, and return the history.

    Ends with the weights of the best validation epoch or of the last, as the plan says. Asked to
    end, it saves itself after the step, or the validation, that it is at.

    Raises:
        TrainingDiverged: the loss is not finite; the last good checkpoint stays.
        Interrupted: the job was asked to end; the checkpoint knows how far it came.
    """
    state = TrainingState(model, make_optimizer(model, setting.plan))
    state.resume(checkpoint, hooks)
    hooks.before_training(model, state.optimizer)
    progress = Progress("epoch", setting.plan.epochs, state.epoch)
    with interruption.deferred():
        while not (_over(state, setting, hooks) or interruption.asked()):
            row = _train_epoch(state, setting, hooks, checkpoint)
            hooks.after_epoch(model, state.epoch)
            accuracies = _validate_if_due(state, setting, hooks)
            row |= accuracies | {"eligible": int(hooks.eligible)}
            if accuracies:
                hooks.after_validation(model, state.epoch, row)
            state.record(row, score(accuracies) if hooks.eligible else [])
            warn_of(state.history)
            state.save(checkpoint, hooks)
            progress.advance(_shown(row))
    progress.close()
    if setting.plan.select == "best" and state.best_weights:
        model.load_state_dict(state.best_weights)
    return state.history


def _over(state: TrainingState, setting: Setting, hooks: Hooks) -> bool:
    """Whether no epoch is left to train, or the method has what it needs."""
    return state.epoch >= setting.plan.epochs or hooks.finished


def _train_epoch(
    state: TrainingState, setting: Setting, hooks: Hooks, checkpoint: Checkpoint
) -> Row:
    """One pass over the training split, or the rest of one; the means come to the host once, at
    the end.
    """
    if state.begun is None:
        hooks.before_epoch(state.model, state.epoch, setting.plan.epochs)
        state.begun = Begun.epoch(setting.train.images.device)
    begun, first = state.begun, state.epoch * setting.steps_per_epoch
    replays = setting.objective.replays
    state.model.train()
    for images, labels in _batches(setting, state.epoch, begun):
        for replay in range(begun.replay, replays):
            step = first + begun.batch * replays + replay
            loss, hits = _train_step(state, images, labels, setting, hooks, step)
            begun.add(loss * len(labels), hits, replays)
            if error := interruption.asked():
                state.save(checkpoint, hooks)
                raise error
    last = learning_rate(setting.plan, first + setting.steps_per_epoch - 1, setting.steps_per_epoch)
    seen = setting.images_per_epoch * replays
    mean_loss = _finite(float(begun.loss) / seen, state.epoch, last)
    accuracy = float(begun.correct) / seen
    return {"epoch": state.epoch + 1, "lr": last, "loss": mean_loss, "train_accuracy": accuracy}


def _train_step(
    state: TrainingState, images: Tensor, labels: Tensor, setting: Setting, hooks: Hooks, step: int
) -> tuple[Tensor, Tensor]:
    """One step of the optimiser: the mean loss that it was taken on, and the count of correct
    predictions.
    """
    rate = learning_rate(setting.plan, step, setting.steps_per_epoch)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    loss, hits = _loss(state, images, labels, setting, hooks, step)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    hooks.after_step(state.model)
    return loss.detach(), hits


def _loss(
    state: TrainingState, images: Tensor, labels: Tensor, setting: Setting, hooks: Hooks, step: int
) -> tuple[Tensor, Tensor]:
    """Objective plus the method's penalty, and the objective's count of correct predictions."""
    model, total = state.model, setting.plan.epochs * setting.steps_per_epoch
    moment = setting.step("attack", step, progress=step / total, memory=state.memory)
    half = setting.plan.precision == "bfloat16"
    with (
        weights_computed_once(model),
        torch.autocast(images.device.type, torch.bfloat16, enabled=half),
    ):
        loss = setting.objective.loss(model, images, labels, moment)
        penalty = hooks.penalty(model)
    return (loss.value if penalty is None else loss.value + penalty), loss.correct


def _batches(setting: Setting, epoch: int, begun: Begun) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, augmented float batches of nearly equal size (no lone sample for batch norm), from
    the one on that the epoch has come to; with the extra images that the plan adds.
    """
    stream = generator(setting.device, *setting.stream, "data", epoch)
    batches = setting.shuffled(stream)
    begun.take_up(stream)
    first = epoch * setting.batches_per_epoch + begun.batch
    for number, batch in enumerate(batches[begun.batch :], first):
        begun.before_batch()
        images = setting.augmented(setting.train, batch, stream)
        yield setting.with_extra(images, setting.train.labels[batch], number)


def _validate_if_due(state: TrainingState, setting: Setting, hooks: Hooks) -> dict[str, float]:
    """Validation accuracies every so many epochs, and always after the last."""
    epoch = state.epoch + 1
    last = epoch == setting.plan.epochs or hooks.finished
    if epoch % setting.plan.validate_every and not last:
        return {}
    return validate(state.model, setting)


def _finite(loss: float, epoch: int, rate: float) -> float:
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"the training loss is {loss} in epoch {epoch + 1} (learning rate {rate:.2g}); "
            "lower the stage's lr, or give it a warmup"
        )
    return loss


def _shown(row: Row) -> dict[str, str]:
    """A row of history as a person reads it."""
    shown = {"loss": f"{row['loss']:.3f}", "train": f"{row['train_accuracy']:.1%}"}
    for name in ("clean", "robust", "single_step"):
        if f"validation_{name}" in row:
            shown[name] = f"{row[f'validation_{name}']:.1%}"
    return shown
