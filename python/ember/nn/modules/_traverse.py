"""Walking a tree of modules: children, parameters and buffers by dotted name, each object once."""

from ..parameter import Parameter


def _join(prefix, name):
    return f"{prefix}.{name}" if prefix else name


class TraverseMixin:
    """The part of Module that finds and lists what it holds."""

    def _walk_to(self, path):
        module = self
        for name in path.split(".") if path else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, TraverseMixin):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_submodule(self, target):
        """The submodule at a dotted path; AttributeError when there is none.

        >>> ember.nn.Sequential(ember.nn.ReLU()).get_submodule("0")
        ReLU()
        """
        return self._walk_to(target)

    def set_submodule(self, target, module, strict=False):
        """Puts `module` at a dotted path; with `strict`, only where one is already."""
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, TraverseMixin):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self._walk_to(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), TraverseMixin):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_tensor(self, target, registry, kind):
        path, _, name = target.rpartition(".")
        module = self._walk_to(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        tensor = getattr(module, name)
        known = isinstance(tensor, Parameter) if registry is None else name in getattr(module, registry)
        if not known:
            raise AttributeError(f"`{name}` is not {kind}")
        return tensor

    def get_parameter(self, target):
        """The parameter at a dotted path."""
        return self._get_tensor(target, None, "an nn.Parameter")

    def get_buffer(self, target):
        """The buffer at a dotted path."""
        return self._get_tensor(target, "_buffers", "a buffer")

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, value in get_members_fn(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield _join(module_prefix, name), value

    def parameters(self, recurse=True):
        """Iterates over the parameters, each once.

        >>> [tuple(p.shape) for p in ember.nn.Linear(2, 3).parameters()]
        [(3, 2), (3,)]
        """
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterates over (dotted name, parameter)."""
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Iterates over the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Iterates over (dotted name, buffer)."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def children(self):
        """Iterates over the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self):
        """Iterates over (name, direct submodule)."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate=True):
        """Iterates over this module and all below it, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Iterates over (dotted name, module), starting with ("", self).

        >>> [name for name, _ in ember.nn.Sequential(ember.nn.ReLU()).named_modules()]
        ['', '0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)
