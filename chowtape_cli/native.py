"""Kernels as machine code that is kept from run to run.

numba compiles them, and is not needed again: to import it and to call a first function of its own
takes longer than to render a minute of stereo. What it compiles stands alone, so it is kept as an
object file, one for each kernel, signature and processor, and called through ctypes. An entry is
named by a hash of everything it was made of, is renamed into place when it is whole, and carries a
checksum: any number of processes may fill the cache at once, and none ever reads half a file.

A kernel writes into the arrays it is given. Where it returns something, or its code needs the run
time of Python or numba (it allocates, say), numba's own call is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from chowtape_cli.notices import tell

if TYPE_CHECKING:
    from llvmlite import binding as llvm

Function = TypeVar("Function", bound=Callable[..., Any])

# contract: a * b + c in one rounding; nsz: the sign of zero may be lost. Nothing else is relaxed:
# NaN and Inf must stay visible to the guards. The numpy error model makes x / 0 Inf, not a branch.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
_SUCCESS = (0, -2)  # numba's status of a function that returns a value, or None
_DIGEST_BYTES = 32
_HEADER = object.__basicsize__  # bytes of what every object begins with
_OF_C = ("memcpy", "memmove", "memset", "tanh", "exp", "abort")  # loaded in every process
_FREE = "NRT_MemInfo_call_dtor"  # frees what a kernel owns; the arrays it is given have no owner

_inlined: set[Callable[..., Any]] = set()


def inlined(function: Function) -> Function:
    """Compile a function of numbers into each kernel that calls it, so that it vectorises."""
    _inlined.add(function)
    return function


def kernel(function: Function) -> Function:
    """Compile a loop over arrays at its first call, or find it compiled."""
    return cast("Function", _Kernel(function))


class _Kernel:
    """A function of C-contiguous arrays, integers, floats, and named tuples of floats.

    Which of them it takes is settled by its first call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = cast("FunctionType", function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._call: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            self._call = self._prepare(arguments)
        return self._call(*arguments)

    def _prepare(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
            return self.function
        signature = tuple(map(_signature, arguments))
        name = f"{self.__name__}_{_fingerprint(self.function, signature, _target()[1])}"
        code = _read(name)
        if code is None:
            dispatcher = _dispatcher(self.function)
            code = _compiled(dispatcher, name, arguments)
            if code is None:
                return cast("Callable[..., Any]", dispatcher)
            _keep(name, code)
        return _loaded(name, code, arguments)


def _kind(argument: Any) -> tuple[str, int]:
    """Return the kind of an argument and how many numbers it is handed over as."""
    if isinstance(argument, np.ndarray):
        return "array", 1
    if isinstance(argument, tuple):
        return type(argument).__name__, len(argument)
    return "int" if isinstance(argument, (int, np.integer)) else "float", 1


def _signature(argument: Any) -> object:
    if isinstance(argument, np.ndarray):
        return argument.dtype.char, argument.ndim
    return _kind(argument)


def _fingerprint(function: FunctionType, *circumstances: object) -> str:
    """Return a hash of a function's code, of all that it calls, and of the circumstances."""
    parts: list[object] = [sys.version, *circumstances]

    def add_code(code: CodeType) -> None:
        parts.extend((code.co_code, code.co_names, code.co_varnames))
        for constant in code.co_consts[1:]:  # the first is the docstring
            add_code(constant) if isinstance(constant, CodeType) else parts.append(constant)

    def add(one: FunctionType) -> None:
        add_code(one.__code__)
        parts.extend(cell.cell_contents for cell in one.__closure__ or ())
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            if isinstance(value, _Kernel):
                add(value.function)
            elif isinstance(value, FunctionType):
                add(value)
            elif isinstance(value, (int, float, np.generic)):
                parts.append((name, repr(value)))

    add(function)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _names(code: CodeType) -> list[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [*code.co_names, *(name for one in inner for name in _names(one))]


@cache
def _dispatcher(function: FunctionType, *, inline: bool = False) -> Any:
    """Return numba's compiler of a function, in a world where all that it calls has one too."""
    import numba

    world = dict(function.__globals__)
    for name in _names(function.__code__):
        value = world.get(name)
        if isinstance(value, _Kernel):
            world[name] = _dispatcher(value.function)
        elif isinstance(value, FunctionType) and value in _inlined:
            world[name] = _dispatcher(value, inline=True)
    clone = FunctionType(
        function.__code__, world, function.__name__, function.__defaults__, function.__closure__
    )
    return numba.njit(**_OPTIONS, forceinline=inline)(clone)


def _compiled(dispatcher: Any, name: str, arguments: tuple[Any, ...]) -> bytes | None:
    """Return a kernel as an object file; None where it can't stand alone."""
    import numba
    from llvmlite import binding as llvm

    _say_that_it_takes_long()

    def type_of(argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            return numba.types.Array(numba.from_dtype(argument.dtype), argument.ndim, "C")
        return numba.typeof(argument)  # type: ignore[no-untyped-call]

    signature = tuple(map(type_of, arguments))
    dispatcher.compile(signature)
    if dispatcher.overloads[signature].signature.return_type != numba.types.none:
        return None
    entry = dispatcher.overloads[signature].fndesc.llvm_func_name
    code = dispatcher.inspect_llvm(signature) + _unpacking(name, entry, arguments)
    module = llvm.parse_assembly(code)
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
    machine = _target()[0]
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(
        module,
        llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)),
    )
    needed = [one.name for one in (*module.functions, *module.global_variables)
              if one.is_declaration and not one.name.startswith("llvm.")]  # fmt: skip
    if not set(needed) <= {_FREE, *_OF_C}:
        return None
    return bytes(machine.emit_object(module))


@cache
def _say_that_it_takes_long() -> None:
    """Once, however many kernels are compiled."""
    tell("compiling the kernels for this processor, this once")


@cache
def _target() -> tuple[llvm.TargetMachine, str]:
    """Return what makes code for this processor, and its description."""
    from llvmlite import __version__
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    of_c = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    for name in _OF_C:
        llvm.add_symbol(name, _address(getattr(of_c, name)))
    llvm.add_symbol(_FREE, _address(of_c.abort))
    processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(  # what numba asks for
        cpu=processor,
        features=features,
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return machine, f"{recipe} {__version__} {machine.triple} {processor} {features}"


def _address(function: Any) -> int:
    return cast("int", ctypes.cast(function, ctypes.c_void_p).value)


@cache
def _engine() -> llvm.ExecutionEngine:
    """Return what all machine code is loaded into; it lives as long as the process."""
    from llvmlite import binding as llvm

    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target()[0])


def _unpacking(name: str, entry: str, arguments: tuple[Any, ...]) -> str:
    """Return a function in LLVM's language that calls a kernel with what it finds in memory.

    To hand over one address takes Python a fraction of the time of twenty numbers, and so does the
    address of an array's object: where its samples are and its shape stand behind the header that
    all objects have (numpy's PyArrayObject: data, number of dimensions, dimensions). numba wants an
    array as two owners, its size, the size of an item, the address, the shape and the strides,
    after two addresses for a result and an exception.
    """
    lines: list[str] = []
    passed = ["ptr %result", "ptr %exception"]

    def load(kind: str, base: str, offset: int) -> str:
        number = len(lines)
        lines.append(f"%at{number} = getelementptr i8, ptr {base}, i64 {offset}")
        lines.append(f"%value{number} = load {kind}, ptr %at{number}")
        return f"%value{number}"

    count = 0
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            array = load("ptr", "%packed", 8 * count)
            address = load("ptr", array, _HEADER)
            dimensions = load("ptr", array, _HEADER + 16)
            shape = [load("i64", dimensions, 8 * i) for i in range(argument.ndim)]
            strides = [str(argument.itemsize)]
            for length in reversed(shape):
                lines.append(f"%size{len(lines)} = mul i64 {strides[0]}, {length}")
                strides.insert(0, f"%size{len(lines) - 1}")
            lines.append(f"%items{len(lines)} = udiv i64 {strides.pop(0)}, {argument.itemsize}")
            size = f"%items{len(lines) - 1}"
            passed += ["ptr null", "ptr null", f"i64 {size}", f"i64 {argument.itemsize}"]
            passed += [f"ptr {address}", *(f"i64 {number}" for number in (*shape, *strides))]
            count += 1
            continue
        kind = "i64" if _kind(argument)[0] == "int" else "double"
        for _ in range(_kind(argument)[1]):
            passed.append(f"{kind} {load(kind, '%packed', 8 * count)}")
            count += 1
    return "\n".join([
        "",
        f"define i32 @{name}(ptr %packed) {{",
        "%result = alloca i64",
        "%exception = alloca i64",
        *lines,
        f'%status = call i32 @"{entry}"({", ".join(passed)})',
        "ret i32 %status",
        "}",
    ])  # fmt: skip


def _loaded(name: str, code: bytes, arguments: tuple[Any, ...]) -> Callable[..., None]:
    """Return a kernel's machine code as a function of the arguments that it was compiled for."""
    from llvmlite import binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p)(engine.get_function_address(name))
    kinds = [_kind(argument) for argument in arguments]
    packed = struct.Struct(
        "".join(("q" if kind in ("array", "int") else "d") * count for kind, count in kinds)
    )
    pack = packed.pack
    array = np.ndarray

    def call(*given: Any) -> None:
        flat: list[Any] = []
        for one in given:
            if type(one) is array:
                if not one.flags.c_contiguous:
                    raise ValueError(f"{name} was given an array that is not C-contiguous")
                flat.append(id(one))
            elif isinstance(one, tuple):
                flat += one
            else:
                flat.append(one)
        if function(pack(*flat)) not in _SUCCESS:
            raise RuntimeError(f"{name} failed")

    return call


@cache
def _folder() -> Path:
    """Return where compiled kernels are kept: CHOWTAPE_CACHE_DIR, or the user's cache."""
    if given := os.environ.get("CHOWTAPE_CACHE_DIR"):
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("chowtape", appauthor=False)


def _read(name: str) -> bytes | None:
    with contextlib.suppress(OSError):
        content = (_folder() / name).read_bytes()
        digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(code).digest() == digest:
            return code
    return None


def _keep(name: str, code: bytes) -> None:
    """Keep a kernel; where that can't be, the next run compiles it again."""
    with contextlib.suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=_folder())
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(part).replace(_folder() / name)
        except OSError:
            Path(part).unlink(missing_ok=True)
