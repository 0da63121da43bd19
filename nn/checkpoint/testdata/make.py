"""The fixtures of this folder, written by PyTorch (1.13):  python3 make.py

Every floating-point tensor of n elements that starts at k holds (k + i) / 8, which
half, bfloat16 and float32 hold exactly; the tests rebuild the values from that.
"""

import os
from collections import OrderedDict

import torch
from torch import nn


def ramp(*shape, start=0, dtype=torch.float32):
    n = torch.Size(shape).numel()
    return ((torch.arange(n, dtype=torch.float64) + start) / 8).reshape(shape).to(dtype)


class OperatorNorm(nn.Conv2d):
    """A 3x3 convolution with the names and the metadata of spectral_norm_conv."""

    def __init__(self, size):
        super().__init__(1, 2, 3, padding=1, bias=False)
        del self.weight
        self.weight_orig = nn.Parameter(torch.zeros(2, 1, 3, 3))
        self.register_buffer("weight_u", torch.zeros(2 * size * size))
        self.register_buffer("weight_v", torch.zeros(size * size))
        self.register_buffer("weight_sigma", torch.zeros(1))
        self._register_state_dict_hook(self.versions)

    @staticmethod
    def versions(module, state, prefix, local_metadata):
        local_metadata.setdefault("spectral_norm_conv", {})["weight.version"] = 1


def network():
    net = nn.Sequential(OrderedDict(
        conv=nn.Conv2d(1, 2, 3),
        sn=OperatorNorm(4),
        bn=nn.BatchNorm2d(2),
        block=nn.Sequential(OrderedDict(fc=nn.utils.spectral_norm(nn.Linear(3, 2)))),
    ))
    with torch.no_grad():
        for k, t in enumerate(net.state_dict().values()):
            t.copy_(ramp(*t.shape, start=k, dtype=t.dtype) if t.is_floating_point() else torch.tensor(41))
    return net


def small():
    return OrderedDict([("conv.weight", ramp(2, 1, 2, 2)), ("fc.bias", ramp(3, start=8)), ("steps", torch.tensor(7))])


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def main():
    state = network().state_dict()
    torch.save(state, "network.model")
    torch.save(nn.DataParallel(network()).state_dict(), "parallel.model")
    torch.save(state, "legacy.model", _use_new_zipfile_serialization=False)
    torch.save(dict(small()), "dict.pt")
    torch.save(small(), "protocol4.pt", pickle_protocol=4)
    torch.save(small(), "legacy_protocol4.pt", pickle_protocol=4, _use_new_zipfile_serialization=False)
    torch.save({k: nn.Parameter(v, requires_grad=v.is_floating_point()) for k, v in small().items()}, "parameters.pt")

    step = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(step.parameters(), lr=0.001)
    step(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    extras = {"epoch": 350, "lr": 1e-3, "name": "net", "best": None, "done": True, "history": [0.5, 0.25, [1 << 40]],
              "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()[:8].clone()}
    torch.save({"state_dict": small(), **extras}, "nested.pt")
    torch.save({**extras, "model_state_dict": small()}, "nested_legacy.pt", _use_new_zipfile_serialization=False)

    types = {str(d).split(".")[1]: ramp(2, 3, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
    types |= {"int64": torch.tensor([-(1 << 63), -1, (1 << 63) - 1]), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4)}
    torch.save(types, "types.pt")
    torch.save(types, "types_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"weight": ramp(2), "mask": torch.tensor([True, False])}, "bool.pt")

    base = ramp(4, 6)
    views = {"base": base, "transposed": base.t(), "column": base[:, 2], "rows": base[1:3], "step": base[::2, 1::2], "one": base[3, 5],
             "expanded": ramp(3).expand(2, 3), "channels_last": ramp(2, 3, 2, 2).to(memory_format=torch.channels_last)}
    torch.save(views, "views.pt")
    torch.save(views, "views_legacy.pt", _use_new_zipfile_serialization=False)

    torch.save(ramp(3, 1, 2, 2), "samples.pt")
    torch.save(torch.arange(6).reshape(3, 2), "labels_legacy.pt", _use_new_zipfile_serialization=False)

    evil = OrderedDict([("conv.weight", ramp(2)), ("fc.bias", Evil())])
    torch.save(evil, "malicious.model")
    torch.save(evil, "malicious_legacy.model", _use_new_zipfile_serialization=False)
    torch.save(nn.Linear(2, 1), "whole_module.pt")
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), "script.pt")


if __name__ == "__main__":
    main()
