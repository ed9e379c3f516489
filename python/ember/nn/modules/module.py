"""Module, the class that users derive from: registration, moving and casting, modes, printing.

Lookup and the call without hooks are in C (`ModuleBase`); hooks, saving and walking are the mixins beside this file.
The instance keeps all its state in `__dict__` under PyTorch's names: programs, pickles and checkpoints read it there.
"""

import sys
import warnings
from collections import OrderedDict

import ember
from ember import _C
from ember.utils.hooks import BackwardHook, RemovableHandle

from ..parameter import Buffer, Parameter
from ._hooks import (
    HookMixin,
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_buffer_registration_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    _WrappedHook,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._state import _EXTRA_STATE_KEY_SUFFIX, StateMixin, _IncompatibleKeys
from ._traverse import TraverseMixin

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

# Names that live here in PyTorch and are read by libraries.
_REEXPORTED = (
    BackwardHook,
    RemovableHandle,
    _WrappedHook,
    _EXTRA_STATE_KEY_SUFFIX,
    _IncompatibleKeys,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
)


def _addindent(text, spaces):
    first, *rest = text.split("\n")
    return "\n".join([first] + [" " * spaces + line for line in rest])


def _forward_unimplemented(self, *input):
    """Every subclass overrides this: the computation of a call."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


# An attribute of every instance: what a new one starts with, in PyTorch's order.
_FRESH = (
    ("training", lambda: True),
    ("_parameters", dict),
    ("_buffers", dict),
    ("_non_persistent_buffers_set", set),
    ("_backward_pre_hooks", OrderedDict),
    ("_backward_hooks", OrderedDict),
    ("_is_full_backward_hook", lambda: None),
    ("_forward_hooks", OrderedDict),
    ("_forward_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_always_called", OrderedDict),
    ("_forward_pre_hooks", OrderedDict),
    ("_forward_pre_hooks_with_kwargs", OrderedDict),
    ("_state_dict_hooks", OrderedDict),
    ("_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_post_hooks", OrderedDict),
    ("_modules", dict),
)


class Module(HookMixin, StateMixin, TraverseMixin, _C.ModuleBase):
    """The base of all neural network modules: a tree of modules with parameters, buffers and a `forward`.

    Set parameters, buffers and submodules as attributes in `__init__`, after `super().__init__()`.

    >>> class Twice(ember.nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> Twice()(ember.ones(2))
    tensor([2., 2.])
    """

    dump_patches = False
    _version = 1
    call_super_init = False
    _compiled_call_impl = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _C.ModuleBase._accelerate(cls)

    def __init__(self, *args, **kwargs):
        if self.call_super_init is False:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        own = self.__dict__
        for name, make in _FRESH:
            own[name] = make()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward = _forward_unimplemented

    def _wrapped_call_impl(self, *args, **kwargs):
        """What a call runs unless C may go straight to forward: the compiled call or the one with hooks."""
        return (self._compiled_call_impl or self._call_impl)(*args, **kwargs)

    # ---- registration ----

    def _check_name(self, name, registry, kind):
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {ember.typename(name)}")
        if "." in name:
            raise KeyError(
                f'{kind} name can\'t contain ".", got: {name}'
                if kind == "module"
                else f'{kind} name can\'t contain "."'
            )
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name, tensor, persistent=True):
        """Adds a tensor that is saved (`persistent`) and moved with the module but is no parameter.

        >>> module = ember.nn.Module()
        >>> module.register_buffer("mean", ember.zeros(3))
        """
        self._check_name(name, "_buffers", "buffer")
        if tensor is not None and not isinstance(tensor, ember.Tensor):
            raise TypeError(
                f"cannot assign '{ember.typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        for hook in _global_buffer_registration_hooks.values():
            output = hook(self, name, tensor)
            tensor = tensor if output is None else output
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        """Adds a Parameter, or None for a name that may get one later."""
        self._check_name(name, "_parameters", "parameter")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{ember.typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                    f"created explicitly. To express '{name}' as a function of another Tensor, compute "
                    "the value in the forward() method."
                )
            for hook in _global_parameter_registration_hooks.values():
                output = hook(self, name, param)
                param = param if output is None else output
        self._parameters[name] = param

    def add_module(self, name, module):
        """Adds a submodule, or None."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{ember.typename(module)} is not a Module subclass")
        self._check_name(name, "_modules", "module")
        self._set_module(name, module)

    def register_module(self, name, module):
        """The same as `add_module`."""
        self.add_module(name, module)

    def _set_module(self, name, module):
        for hook in _global_module_registration_hooks.values():
            output = hook(self, name, module)
            module = module if output is None else output
        self._modules[name] = module

    def _remove_from(self, name, *registries):
        for registry in registries:
            held = self.__dict__.get(registry, ())
            if name in held:
                held.discard(name) if isinstance(held, set) else held.pop(name)
        self.__dict__.pop(name, None)

    def _assign(self, name, value):
        """`self.name = value` where the value is a tensor or module, or the name is registered (C asks for this)."""
        own = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._remove_from(name, "_buffers", "_modules", "_non_persistent_buffers_set")
            self.register_parameter(name, value)
        elif name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{ember.typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._remove_from(name, "_parameters", "_buffers", "_non_persistent_buffers_set")
            self._set_module(name, value)
        elif name in own.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{ember.typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            self._set_module(name, value)
        elif isinstance(value, Buffer) or name in own.get("_buffers", ()):
            self._assign_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _assign_buffer(self, name, value):
        if value is not None and not isinstance(value, ember.Tensor):
            raise TypeError(
                f"cannot assign '{ember.typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            self._remove_from(name, "_parameters", "_modules")
            self.register_buffer(name, value, value.persistent)
            return
        for hook in _global_buffer_registration_hooks.values():
            output = hook(self, name, value)
            value = value if output is None else output
        self._buffers[name] = value

    def __delattr__(self, name):
        for registry in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(registry, {})
            if name in held:
                del held[name]
                self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name, make in _FRESH:  # pickles from older versions lack some
            self.__dict__.setdefault(name, make())

    def __dir__(self):
        own = self.__dict__
        names = {
            *dir(type(self)),
            *own,
            *own.get("_parameters", ()),
            *own.get("_modules", ()),
            *own.get("_buffers", ()),
        }
        return sorted(name for name in names if not name[0].isdigit())

    # ---- moving, casting, modes ----

    def _apply(self, fn, recurse=True):
        """Replaces every parameter, gradient and buffer by `fn` of it; a parameter stays the same object if it can."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, param in self._parameters.items():
            if param is None:
                continue
            with ember.no_grad():
                new = fn(param)
            same = _fits(param, new)
            grad = param.grad
            if same:
                param.data = new
            else:
                self._parameters[name] = param = Parameter(new, param.requires_grad)
            if grad is not None:
                with ember.no_grad():
                    new_grad = fn(grad)
                if same and _fits(grad, new_grad):
                    grad.data = new_grad
                else:
                    param.grad = new_grad.requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn):
        """Calls `fn(module)` for every module below, then for this one; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args, **kwargs):
        """Moves and casts in place: `to(device)`, `to(dtype)` (floating tensors only), `to(tensor)`, and keywords
        `device dtype non_blocking memory_format`. Returns self.

        >>> ember.nn.Linear(2, 2).to(ember.float64).weight.dtype
        ember.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(t):
            cast = dtype if t.is_floating_point() or t.is_complex() else None
            if memory_format is not None and t.dim() in (4, 5):
                return t.to(device, cast, non_blocking, memory_format=memory_format)
            return t.to(device, cast, non_blocking)

        return self._apply(convert)

    def to_empty(self, *, device, recurse=True):
        """Moves to `device` without copying values: the tensors come back uninitialized."""
        return self._apply(lambda t: ember.empty_like(t, device=device), recurse=recurse)

    def cpu(self):
        """Moves everything to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device=None):
        """Moves everything to the GPU; raises where there is none."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type):
        """Casts all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def _cast(self, name):
        return self._apply(lambda t: getattr(t, name)() if t.is_floating_point() else t)

    def float(self):
        """Casts floating tensors to float32."""
        return self._cast("float")

    def double(self):
        """Casts floating tensors to float64."""
        return self._cast("double")

    def half(self):
        """Casts floating tensors to float16."""
        return self._cast("half")

    def bfloat16(self):
        """Casts floating tensors to bfloat16."""
        return self._cast("bfloat16")

    def share_memory(self):
        """Moves all tensors to memory that other processes can map."""
        return self._apply(lambda t: t.share_memory_())

    def train(self, mode=True):
        """Sets training mode (dropout drops, batch norm learns its statistics) here and below; returns self."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Sets `requires_grad` of every parameter; returns self."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drops the gradients of all parameters, or zeroes them."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. The "
                "parameters are copied (in a differentiable manner) from the original module. This means "
                "they are not leaf nodes in autograd and so don't accumulate gradients. If you need "
                "gradients in your forward method, consider using autograd.grad instead.",
                stacklevel=2,
            )
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    def compile(self, *args, **kwargs):
        """Compiles this module's call in place, as `ember.compile` does for a function."""
        self._compiled_call_impl = ember.compile(self._call_impl, *args, **kwargs)

    def _replicate_for_data_parallel(self):
        replica = type(self).__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        replica._parameters = {}
        replica._buffers = replica._buffers.copy()
        replica._modules = replica._modules.copy()
        replica._is_replica = True
        return replica

    # ---- printing ----

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """What stands between the parentheses of a module's repr; override it."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        body = "\n  ".join(lines + children)
        return f"{self._get_name()}(\n  {body}\n)" if body else f"{self._get_name()}()"


def _fits(tensor, new):
    """Can `tensor`, the object, take over the data of `new`?"""
    return tensor.layout == new.layout and tensor.is_meta == new.is_meta


def _parse_to(*args, **kwargs):
    """The arguments of `to` as (device, dtype, non_blocking, memory_format)."""
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    memory_format = kwargs.pop("memory_format", None)
    non_blocking, copy = kwargs.pop("non_blocking", False), kwargs.pop("copy", False)
    other = kwargs.pop("tensor", None) or kwargs.pop("other", None)
    if kwargs:
        raise TypeError(
            f"to() received an invalid combination of arguments: unexpected keyword {sorted(kwargs)}; "
            "allowed are device, dtype, tensor, non_blocking, copy, memory_format"
        )
    rest = list(args)
    if rest and isinstance(rest[0], ember.Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], ember.dtype):
        dtype = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, ember.device))):
        device = rest.pop(0) if rest[0] is not None else rest.pop(0) or device
        if rest and (rest[0] is None or isinstance(rest[0], ember.dtype)):
            dtype = rest.pop(0) or dtype
    elif rest:
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"({', '.join(type(a).__name__ for a in args)}), but expected a device, a dtype or a tensor"
        )
    if other is not None:
        device, dtype = other.device, other.dtype
    non_blocking = rest.pop(0) if rest else non_blocking
    copy = rest.pop(0) if rest else copy
    if copy:
        raise RuntimeError(".to() does not accept copy argument")
    return None if device is None else ember.device(device), dtype, non_blocking, memory_format


# ---- errors: where in the model it happened ----


def _path_below(module, key):
    """The dotted name of the module with this id below `module`, or None."""
    for name, child in module.named_modules():
        if id(child) == key and name:
            return name
    return None


def _note_error(module, error):
    """Tells in `error` which module raised it, by its path from the outermost module that was being called.

    The C call runs this for each module that the exception leaves; every outer one replaces the note by a longer path.
    """
    state = getattr(error, "_module_path", None)
    if state is None:
        key, path, kind, old = id(module), "", type(module).__name__, None
    else:
        key, path, kind, old = state
        name = _path_below(module, key)
        if name is None:
            return
        key, path = id(module), f"{name}.{path}" if path else name
    note = f"in {path} ({kind})" if path else f"in {kind}"
    error._module_path = (key, path, kind, note)
    if sys.version_info >= (3, 11):
        notes = getattr(error, "__notes__", None)
        if notes and old in notes:
            notes[notes.index(old)] = note
        else:
            error.add_note(note)
    elif (
        error.args
        and isinstance(error.args[0], str)
        and type(error).__str__ in (BaseException.__str__, Exception.__str__)
    ):
        text = error.args[0]
        text = text[: -len(old) - 1] if old and text.endswith("\n" + old) else text
        error.args = (f"{text}\n{note}", *error.args[1:])


_C.ModuleBase._accelerate(Module)
_C.ModuleBase._configure(
    ember.Tensor,
    (_global_backward_hooks, _global_backward_pre_hooks, _global_forward_hooks, _global_forward_pre_hooks),
    HookMixin.__dict__["_call_impl"],
    _note_error,
)
