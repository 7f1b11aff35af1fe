"""Observations in a ring, each stored once: stacks and successors are put together when they are read."""

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.agents.batch import Space

PADDINGS = ("first", "zero")
FIRST_FINALS = 16
"""Room for so many final observations at first; it doubles when they are more."""


class Frames:
    """What [seeds, envs] environments showed, in rows of one time step each; the times are written one after the other.

    The successor of a step is the frame one row ahead. Where an episode was cut, that row starts another episode,
    so its final frame lies apart, in a queue as long as the episode ends that are still remembered.

    rows     how many of the newest steps can be read, whole stacks of them
    stack    how many frames one observation consists of, oldest first, along its first axis; a step stores the newest only
    padding  what stands for frames from before an episode: its "first" frame or "zero"
    """

    def __init__(
        self,
        space: Space,
        *,
        seeds: int,
        envs: int,
        rows: int,
        stack: int = 1,
        padding: str = "first",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = space.observation_shape
        if stack < 1 or (stack > 1 and (not shape or shape[0] % stack)):
            raise ValueError(f"stack must be >= 1 and divide the first axis of an observation; got {stack}, {shape}")
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}; got {padding!r}")
        self.seeds, self.envs, self.stack, self.padding = seeds, envs, stack, padding
        self.size = rows + stack  # stack - 1 rows behind the oldest step, one ahead of the newest
        self.rows, self.time = rows, 0
        self.shape = shape if stack == 1 else (shape[0] // stack, *shape[1:])
        kind = dtype if space.observation_dtype.is_floating_point else space.observation_dtype
        self._width = width = seeds * envs
        self._frames = torch.zeros(self.size * width, *self.shape, dtype=kind, device=device)
        self._since = torch.zeros(self.size * width if stack > 1 else 0, dtype=torch.int64, device=device)
        self._cut = torch.ones(seeds, envs, dtype=torch.bool, device=device)
        self._finals = torch.zeros(FIRST_FINALS, *self.shape, dtype=kind, device=device)
        self._serial = torch.zeros(self.size * width, dtype=torch.int64, device=device)
        self._first_serial = torch.zeros(self.size, dtype=torch.int64)
        self._next_serial = 0

    def add(self, observations: Tensor, next_observations: Tensor, cut: Tensor) -> None:
        """One step of every environment, [seeds, envs, *shape] and [seeds, envs]; finals where cut."""
        row = self.time % self.size
        if _checks.values_are_checked():
            self._check_going(observations)
        newest = self._newest(next_observations)
        self._row(row).copy_(self._newest(observations))
        self._row((row + 1) % self.size).copy_(newest)
        if self.stack > 1:
            before = self._span(self._since, (row - 1) % self.size)
            self._span(self._since, row).copy_(torch.where(self._cut.flatten(), 0, (before + 1).clamp(max=self.stack - 1)))
        self._cut.copy_(cut)
        self.time += 1
        self._keep_finals(row, newest, cut)
        if self.stack > 1 and (self.time == 1 or _checks.values_are_checked()):
            self._check_stack(observations)

    def observations(self, places: Tensor) -> Tensor:
        """What was seen at these places, [seeds, batch], of [rows, seeds, envs] flattened; returns [seeds, batch, *shape]."""
        if self.stack == 1:
            return taken(self._frames, places)
        return self._past(places, self.stack).flatten(2, 3)

    def next_observations(self, places: Tensor, cut: Tensor) -> Tensor:
        """What the steps at these places led to; [seeds, batch, *shape]."""
        newest = taken(self._frames, self.ahead(places, 1))
        if self._next_serial:
            final = taken(self._finals, taken(self._serial, places) % len(self._finals))
            newest = torch.where(cut.reshape(*cut.shape, *[1] * len(self.shape)), final, newest)
        if self.stack == 1:
            return newest
        return torch.cat([self._past(places, self.stack - 1), newest[:, :, None]], 2).flatten(2, 3)

    def ahead(self, places: Tensor, steps: int | Tensor) -> Tensor:
        """The same environments' places so many steps later."""
        return (places + steps * self._width) % (self.size * self._width)

    def tensors(self) -> dict[str, Tensor]:
        """All that reading depends on; the large ones are views, to be written before the next `add`."""
        filled = min(self.time + 1, self.size) * self._width
        live = torch.arange(self._first_live(), self._next_serial, device=self._finals.device)
        return {
            "frames": self._frames[:filled],
            "since": self._since[:filled],
            "cut": self._cut.clone(),
            "finals": self._finals[live % len(self._finals)],
            "serial": self._serial[:filled],
            "first_serial": self._first_serial.clone(),
            "next_serial": torch.tensor(self._next_serial),
            "time": torch.tensor(self.time),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, in a ring of the same sizes."""
        self.time, self._next_serial = int(tensors["time"]), int(tensors["next_serial"])
        for name, own in (("frames", self._frames), ("since", self._since), ("serial", self._serial)):
            own.zero_()
            own[: len(tensors[name])] = tensors[name].to(own.device)
        self._cut.copy_(tensors["cut"])
        self._first_serial = tensors["first_serial"].cpu().clone()
        finals = tensors["finals"].to(self._finals.device)
        self._finals = self._finals.new_zeros(_doubled(FIRST_FINALS, len(finals)), *self.shape)
        live = torch.arange(self._first_live(), self._next_serial, device=finals.device)
        self._finals[live % len(self._finals)] = finals

    def _keep_finals(self, row: int, newest: Tensor, cut: Tensor) -> None:
        """Final frames are numbered in the order of their coming; number i lies at i modulo the room there is."""
        self._first_serial[row] = self._next_serial
        places = cut.reshape(-1).cpu().nonzero()[:, 0]
        first, upto = self._first_live(), self._next_serial + len(places)
        if upto - first > len(self._finals):
            live = torch.arange(first, self._next_serial, device=self._finals.device)
            room = self._finals.new_zeros(_doubled(len(self._finals), upto - first), *self.shape)
            room[live % len(room)] = self._finals[live % len(self._finals)]
            self._finals = room
        serial = self._span(self._serial, row).zero_()
        if len(places):
            places, numbers = places.to(serial.device), torch.arange(self._next_serial, upto, device=serial.device)
            serial[places] = numbers
            self._finals[numbers % len(self._finals)] = newest.reshape(-1, *self.shape)[places.to(newest.device)].to(self._finals)
            self._next_serial = upto

    def _first_live(self) -> int:
        """The number of the oldest final frame that can still be asked for."""
        return int(self._first_serial[(self.time - min(self.time, self.rows)) % self.size])

    def _past(self, places: Tensor, count: int) -> Tensor:
        """The `count` frames up to each place, [seeds, batch, count, *frame]."""
        since = taken(self._since, places)[..., None]
        back = torch.arange(count - 1, -1, -1, device=places.device).expand(*places.shape, count)
        frames = taken(self._frames, self.ahead(places[..., None], -torch.minimum(back, since)))
        if self.padding == "first":
            return frames
        return frames * (back <= since).reshape(*back.shape, *[1] * len(self.shape))

    def _newest(self, observations: Tensor) -> Tensor:
        return observations if self.stack == 1 else observations[:, :, -self.shape[0] :]

    def _row(self, row: int) -> Tensor:
        return self._span(self._frames, row).reshape(self.seeds, self.envs, *self.shape)

    def _span(self, ring: Tensor, row: int) -> Tensor:
        return ring[row * self._width : (row + 1) * self._width]

    def _check_going(self, observations: Tensor) -> None:
        """Where an episode goes on, an observation is the one before's successor."""
        given, due = self._newest(observations).to(self._frames), self._row(self.time % self.size)
        same = (given == due) | (given.isnan() & due.isnan())
        same = same.reshape(self.seeds, self.envs, -1).all(2) | self._cut
        _checks.each("observations", same, same, "must be the last next_observations where the episode goes on")

    def _check_stack(self, observations: Tensor) -> None:
        """Reading must give back what was added; tells another padding."""
        first = (self.time - 1) % self.size * self._width
        found = self.observations(torch.arange(first, first + self._width, device=self._cut.device).reshape(self._cut.shape))
        if not torch.equal(found, observations.to(found)):
            raise ValueError(f"stacks must be padded by the {self.padding!r} frame, and their frames must follow one another")


def taken(rows: Tensor, places: Tensor) -> Tensor:
    """rows[places], a little faster."""
    return rows.index_select(0, places.flatten()).reshape(*places.shape, *rows.shape[1:])


def _doubled(room: int, needed: int) -> int:
    while room < needed:
        room *= 2
    return room
