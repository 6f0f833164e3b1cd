"""What a pickle says, as plain data: a reader of its instructions that calls, imports and executes nothing."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ecgqa.errors import EcgqaError


class Readable(Protocol):
    """What the reader needs of a binary stream."""

    def read(self, n: int = -1, /) -> bytes: ...
    def readline(self) -> bytes: ...


@dataclass(frozen=True)
class Name:
    """A global that the pickle mentions; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}")


@dataclass(frozen=True)
class StoredArray:
    """A flat array that lies elsewhere in the file, under `key`."""

    key: str
    dtype: str
    n_values: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a view into a stored array; shape and strides count values."""

    array: StoredArray
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def n_values(self) -> int:
        n = 1
        for size in self.shape:
            n *= size
        return n


@dataclass(eq=False)
class Inert:
    """An object of an allowed class: its arguments and the state it would have had."""

    of: str
    arguments: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)


def printable(text: str, most: int = 120) -> str:
    """A stranger's text, fit for a terminal."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:most])
    return shown + ("..." if len(text) > most else "")


class Refused(EcgqaError):
    """The pickle holds something that no checkpoint needs."""


ARRAYS = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_OMEGACONF = {
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": ("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode"),
    "omegaconf.base": ("Metadata", "ContainerMetadata"),
}


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    array, offset, shape, stride = arguments[:4]
    numbers = (offset, *shape, *stride)
    if not isinstance(array, StoredArray) or len(shape) != len(stride):
        raise ValueError("a tensor without its array")
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("a tensor of impossible shape")
    tensor = StoredTensor(array, offset, tuple(shape), tuple(stride))
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if tensor.n_values > array.n_values or (tensor.n_values and last >= array.n_values):
        raise ValueError("a tensor larger than its array")
    return tensor


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    return {_key(key): value for key, value in arguments[0]} if arguments else {}


def _encode(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in an unusual spelling")
    return text.encode("latin1")


def _number(arguments: tuple[Any, ...]) -> Any:
    """A NumPy scalar."""
    dtype, raw = arguments
    kind = dtype.arguments[0]
    letter = {"f8": "d", "f4": "f", "i8": "q", "i4": "i"}.get(kind) if type(kind) is str else None
    return struct.unpack(f"<{letter}", raw)[0] if letter else None


CALLS: dict[Name, Callable[[tuple[Any, ...]], Any]] = {
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_tensor"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): lambda arguments: arguments[0],
    Name("torch", "Size"): lambda arguments: tuple(arguments[0]),
    Name("collections", "OrderedDict"): _ordered_dict,
    Name("_codecs", "encode"): _encode,
    **{Name(module, "_reconstruct"): lambda arguments: Inert("numpy array") for module in _NUMPY},
    **{Name(module, "scalar"): _number for module in _NUMPY},
    Name("numpy", "dtype"): lambda arguments: Inert("numpy dtype", arguments),
}
"""What checkpoints call, and what stands for it here."""

CLASSES: frozenset[Name] = frozenset(
    [Name("argparse", "Namespace"), *(Name(module, name) for module, names in _OMEGACONF.items() for name in names)]
)
"""Classes of which checkpoints hold objects; here they become `Inert`."""

WORDS: frozenset[Name] = frozenset(
    [
        *(Name(module, name) for module in ("torch", "torch.cuda") for name in ARRAYS),
        Name("numpy", "ndarray"),
        Name("typing", "Any"),
        *(Name(module, name) for module in ("builtins", "__builtin__") for name in ("dict", "list", "int", "str")),
        *(Name(module, name) for module in ("builtins", "__builtin__") for name in ("float", "bool")),
    ]
)
"""Globals that checkpoints mention without calling them."""

_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")
_VALUES = frozenset((*_NUMBERS, *_TEXTS, "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"))
"""Instructions that put the value they carry on the stack."""


def read_pickle(stream: Readable) -> tuple[Any, dict[str, StoredArray]]:
    """The data of the pickle that begins at the stream's position, and the stored arrays it mentions, by key.

    Every global other than those of a checkpoint is refused by name as soon as it is mentioned. Tensors and arrays
    become `StoredTensor` and `StoredArray`. Raises Refused, or EcgqaError if the pickle is damaged.
    """
    reader = _Reader()
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
            reader.step(opcode.name, argument)
        if len(reader.stack) != 1:
            raise ValueError("it leaves a wrong number of values")
        return reader.stack[0], reader.arrays
    except EcgqaError:
        raise
    except Exception as error:  # whatever goes wrong in reading broken instructions
        raise EcgqaError(f"the pickle is damaged: {error or type(error).__name__}") from None


class _Reader:
    """The stack machine of the pickle format, restricted to building data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.arrays: dict[str, StoredArray] = {}

    def step(self, code: str, argument: Any) -> None:
        stack = self.stack
        if code in _VALUES:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _EMPTY:
            stack.append(_EMPTY[code]())
        elif code == "MARK":
            stack.append(_MARK)
        elif code in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "GLOBAL":
            self.mention(*argument.split(" ", 1))
        elif code == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            self.mention(module, name)
        elif code in ("PROTO", "FRAME", "STOP"):
            pass
        else:
            action = getattr(self, f"do_{code.lower()}", None)
            if action is None:
                raise Refused(f"the pickle uses the instruction {code}, which no checkpoint needs")
            action()

    def mention(self, module: Any, name: Any) -> None:
        """Put a global on the stack if checkpoints may name it."""
        mentioned = Name(_only(module, str), _only(name, str))
        if mentioned not in CALLS and mentioned not in CLASSES and mentioned not in WORDS:
            raise Refused(
                f"the pickle names {mentioned}, which no checkpoint needs",
                expected="tensors, numbers, texts and configurations only",
                fix="do not open this file with other tools either; ask where it comes from",
            )
        self.stack.append(mentioned)

    def values(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def do_pop(self) -> None:
        self.stack.pop()

    def do_pop_mark(self) -> None:
        self.values()

    def do_dup(self) -> None:
        self.stack.append(self.stack[-1])

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.values()))

    def do_tuple1(self) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def do_tuple2(self) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def do_tuple3(self) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def do_list(self) -> None:
        self.stack.append(self.values())

    def do_dict(self) -> None:
        values = self.values()
        self.stack.append(_pairs(values))

    def do_frozenset(self) -> None:
        self.stack.append(frozenset(map(_key, self.values())))

    def do_append(self) -> None:
        value = self.stack.pop()
        _only(self.stack[-1], list).append(value)

    def do_appends(self) -> None:
        values = self.values()
        _only(self.stack[-1], list).extend(values)

    def do_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _only(self.stack[-1], dict)[_key(key)] = value

    def do_setitems(self) -> None:
        values = self.values()
        _only(self.stack[-1], dict).update(_pairs(values))

    def do_additems(self) -> None:
        values = self.values()
        _only(self.stack[-1], set).update(map(_key, values))

    def do_reduce(self) -> None:
        arguments, called = _only(self.stack.pop(), tuple), self.stack.pop()
        if not isinstance(called, Name):
            raise Refused(f"the pickle calls a {type(called).__name__}")
        if called in CLASSES:
            self.stack.append(Inert(str(called), arguments))
        elif called in CALLS:
            self.stack.append(CALLS[called](arguments))
        else:
            raise Refused(f"the pickle calls {called}")

    do_newobj = do_reduce

    def do_build(self) -> None:
        """State of an object: kept for configurations; names of an ordered dict's layers and arrays' bytes go."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert):
            if isinstance(state, dict) and not target.of.startswith("numpy"):
                target.state.update(state)
        elif not isinstance(target, dict):
            raise Refused(f"the pickle sets the state of a {type(target).__name__}")

    def do_binpersid(self) -> None:
        kind, of, key, _, n_values, *rest = _only(self.stack.pop(), tuple)
        if kind != "storage" or not isinstance(of, Name) or of.name not in ARRAYS:
            raise Refused("the pickle asks for an outside object that is no array of numbers")
        if type(key) is not str or not key.isalnum() or type(n_values) is not int or n_values < 0 or any(rest):
            odd = printable(key) if type(key) is str else type(key).__name__
            raise Refused(f"the pickle asks for an array under the odd name {odd!r}")
        array = StoredArray(key, ARRAYS[of.name], n_values)
        if self.arrays.setdefault(key, array) != array:
            raise Refused(f"the pickle describes the array {key!r} twice, in different ways")
        self.stack.append(array)


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return {_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def _key(value: Any) -> Any:
    """A key as checkpoints use them; nested ones could take for ever to hash."""
    if value is not None and type(value) not in (str, int, float, bool, bytes, Name):
        raise ValueError(f"a {type(value).__name__} as a key")
    return value


def _only(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value
