"""Makes lenet_1_2.model, lenet_2_2.model and expected.json beside this file.

  python3 make.py FOLDER   (PyTorch 1.13, NumPy, scikit-learn)

FOLDER holds two trained LeNets under the same names. They are saved in half
precision by torch.save and evaluated, with nothing but PyTorch, NumPy and
scikit-learn, on the samples of MNIST and Fashion-MNIST that are in the
program, by the published protocol.
"""

import gzip
import json
import os
import sys

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch.nn import functional as F

here = os.path.dirname(os.path.abspath(__file__))
sample = os.path.join(here, "../../../../experiments/dataset/sample")


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        feature = F.relu(self.fc2(F.relu(self.fc1(x))))
        return self.fc3(feature), feature


def read(name):
    with gzip.open(f"{sample}/{name}-images-idx3-ubyte.gz") as f:
        images = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(f"{sample}/{name}-labels-idx1-ubyte.gz") as f:
        labels = np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)
    return (torch.from_numpy(images.astype(np.float32)) / 255 - 0.1307) / 0.3081, torch.from_numpy(labels)


def split(n, seed):
    order = list(range(n))
    np.random.seed(seed)
    np.random.shuffle(order)
    return order[n // 10 :], order[: n // 10]


def ece(probabilities, labels, bins=15):
    confidence, prediction = probabilities.max(1), probabilities.argmax(1)
    total, edges = 0.0, np.linspace(0, 1, bins + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += abs(confidence[inside].mean() - (prediction[inside] == labels[inside]).mean()) * inside.mean()
    return total


def temperature(logits, labels):
    grid = [0.1]
    while len(grid) < 100:
        grid.append(grid[-1] + 0.1)
    return grid[int(np.argmin([F.cross_entropy(logits / t, labels).item() for t in grid]))]


def separation(inside, outside, positive_inside):
    scores = np.concatenate([inside, outside])
    positive = np.concatenate([np.full(len(inside), positive_inside), np.full(len(outside), not positive_inside)])
    return roc_auc_score(positive, scores), average_precision_score(positive, scores)


def entropy(p, eps=0.0):
    return -(p * np.log(np.where(p > 0, p, 1) if eps == 0 else p + eps)).sum(1)


def predictive(ps):
    return entropy(np.mean(ps, 0), 1e-12)


def mutual(ps):
    return predictive(ps) - np.mean([entropy(p, 1e-12) for p in ps], 0)


def fit(features, labels):
    features = features.double()
    groups = [features[labels == c] for c in range(10)]
    mean = torch.stack([g.mean(0) for g in groups])
    covariance = torch.stack([(g - m).T @ (g - m) / (len(g) - 1) for g, m in zip(groups, mean)])
    for jitter in [0, torch.finfo(torch.double).tiny] + [10.0**e for e in range(-308, 0)]:
        try:
            return torch.distributions.MultivariateNormal(mean, covariance + jitter * torch.eye(84, dtype=torch.double))
        except ValueError:
            continue


def lifted(state, by=1.5):
    """Moves the hidden units out of the flat part of ReLU, in half precision.

    Units that are dead in a class make its covariance singular; its density
    then depends on the rounding of the Cholesky factorisation alone.
    """
    for layer, after in (("fc1", "fc2"), ("fc2", "fc3")):
        state[after + ".bias"] = state[after + ".bias"] - by * state[after + ".weight"].sum(1)
        state[layer + ".bias"] = state[layer + ".bias"] + by
    return {k: v.half() for k, v in state.items()}


def main():
    torch.set_grad_enabled(False)
    networks = []
    for seed in (1, 2):
        state = torch.load(os.path.join(sys.argv[1], f"lenet_{seed}_2.model"))
        state = lifted({k.replace("module.", ""): v for k, v in state.items()})
        torch.save(state, os.path.join(here, f"lenet_{seed}_2.model"))
        network = LeNet().eval()
        network.load_state_dict(state)
        networks.append(network)
    (train, train_labels), (test, labels), (other, _) = read("mnist-train"), read("mnist-t10k"), read("fashion-mnist-t10k")
    parts = [split(len(train), seed) for seed in (1, 2)]
    temperatures = [temperature(n(train[v])[0], train_labels[v]) for n, (_, v) in zip(networks, parts)]
    softmax = lambda x, i, t: F.softmax((networks[i](x)[0] / t).double(), 1).numpy()
    logsumexp = lambda x, t: torch.logsumexp(networks[0](x)[0].double() / t, 1).numpy()
    density = fit(networks[0](train[parts[0][0]])[1], train_labels[parts[0][0]])
    log_density = lambda x: density.log_prob(networks[0](x)[1].double()[:, None])
    expected = {"softmax": {}, "gmm": {}, "ensemble": {}}
    for prefix, ts in (("", [1.0, 1.0]), ("t_", temperatures)):
        p, q = softmax(test, 0, ts[0]), softmax(other, 0, ts[0])
        ps, qs = [softmax(test, i, ts[i]) for i in (0, 1)], [softmax(other, i, ts[i]) for i in (0, 1)]
        a, b = log_density(test), log_density(other)
        measures = {
            "softmax": (p, (logsumexp(test, ts[0]), logsumexp(other, ts[0]), True), (entropy(p), entropy(q), False)),
            "gmm": (
                p,
                (torch.logsumexp(a, 1).numpy(), torch.logsumexp(b, 1).numpy(), True),
                (entropy(torch.softmax(a, 1).numpy()), entropy(torch.softmax(b, 1).numpy()), False),
            ),
            "ensemble": (np.mean(ps, 0), (mutual(ps), mutual(qs), False), (predictive(ps), predictive(qs), False)),
        }
        for name, (mean, m1, m2) in measures.items():
            result = expected[name]
            if not prefix:
                result["accuracy"] = float((mean.argmax(1) == labels.numpy()).mean())
            result[prefix + "ece"] = float(ece(mean, labels.numpy()))
            result[prefix + "m1_auroc"], result[prefix + "m1_auprc"] = map(float, separation(*m1))
            result[prefix + "m2_auroc"], result[prefix + "m2_auprc"] = map(float, separation(*m2))
    with open(os.path.join(here, "expected.json"), "w") as f:
        json.dump(expected, f, indent=1)
        f.write("\n")


main()
