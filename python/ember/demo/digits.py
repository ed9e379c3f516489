"""Reads handwritten digits: a small convolutional network trained on scikit-learn's 1,797 real 8x8 scans.

An ordinary PyTorch program: `python digits.py` runs it on Ember, `python digits.py --torch` on PyTorch, and from the
same seed both print the same losses. Every batch is bent a little (rotated, scaled, sheared, shifted), so that the
network meets each digit in a new hand; a quarter of the scans is held out and never bent nor trained on. At the end:
the network on disk, read back and checked, and a picture of what it learned and where it errs.
"""

import argparse
import sys
import time
from pathlib import Path

if "--torch" in sys.argv:
    import torch
else:
    import ember as torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

nn, F = torch.nn, torch.nn.functional
DataLoader, TensorDataset = torch.utils.data.DataLoader, torch.utils.data.TensorDataset


class Digits(nn.Module):
    """(N, 1, 8, 8) pixels -> (N, 10) scores. Three convolutions, each normalised; two poolings; one linear layer."""

    def __init__(self, width=32):
        super().__init__()

        def block(inputs, outputs):
            convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

        self.features = nn.Sequential(
            block(1, width), block(width, width), nn.MaxPool2d(2), block(width, 2 * width), nn.MaxPool2d(2)
        )
        self.classify = nn.Linear(2 * width * 2 * 2, 10)

    def forward(self, x):
        return self.classify(self.features(x).flatten(1))


def load_data():
    """Training and held-out sets, pixels in 0..1; the split is always the same, with each digit in proportion."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32").reshape(-1, 1, 8, 8)
    split = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = (torch.from_numpy(part) for part in split)
    return TensorDataset(train_x, train_y), TensorDataset(test_x, test_y)


def bend(images, angle=0.22, scale=0.12, shear=0.15, shift=0.7):
    """Each image under a random affine map of its own, read bilinearly; what comes from outside is blank.

    A pixel of the result is a sum over source pixels weighted by a tent, max(0, 1 - distance), down and across: two
    small matrix products in place of gathers.
    """
    n, _, size, _ = images.shape

    def draw(limit):
        return (torch.rand(n, 1) * 2 - 1) * limit

    axis = torch.arange(size) - (size - 1) / 2
    y, x = axis.repeat_interleave(size), axis.repeat(size)
    theta, zoom, slant = draw(angle), 1 + draw(scale), draw(shear)
    source_y = (torch.cos(theta) * y + torch.sin(theta) * x) * zoom + draw(shift)
    source_x = (torch.cos(theta) * x - torch.sin(theta) * y) * zoom + slant * y + draw(shift)
    down, across = (F.relu(1 - (s.unsqueeze(-1) - axis).abs()) for s in (source_y, source_x))
    return ((down @ images[:, 0]) * across).sum(-1).reshape(images.shape)


@torch.no_grad()
def predict(model, images):
    """The likeliest digit for each image, and how likely it is held to be."""
    model.eval()
    chance, digit = F.softmax(model(images), dim=1).max(dim=1)
    return digit, chance


def train(model, data, epochs, steps=None, batch_size=64):
    """AdamW along one cycle of the learning rate. Returns the loss of every step."""
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, drop_last=True)
    total = steps or epochs * len(loader)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=total)
    losses = []
    model.train()
    with tqdm(total=total, desc="digits", unit="step") as bar:
        while len(losses) < total:
            for images, labels in loader:
                loss = F.cross_entropy(model(bend(images)), labels, label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
                if len(losses) == total:
                    break
    return losses


def draw_report(path, model, losses, images, truth, guess, chance):
    """One page: how the loss fell, what is taken for what, the first filters, the mistakes and the hardest digits."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    images, truth, guess, chance = images[:, 0].numpy(), truth.numpy(), guess.numpy(), chance.numpy()
    wrong = int((truth != guess).sum())
    ink, red = "#1f4e8c", "#b03030"
    figure = plt.figure(figsize=(12, 9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    summary = f"{len(truth)} held-out digits, {wrong} misread: {1 - wrong / len(truth):.2%} right"
    figure.suptitle(f"{summary}   ({torch.__name__} {torch.__version__})", fontsize=15)
    (curve_part, matrix_part), (filter_part, hard_part) = figure.subfigures(2, 2, height_ratios=[1.3, 1])

    window = max(1, len(losses) // 40)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes = curve_part.subplots()
    axes.plot(losses, color="#b8cce4", linewidth=0.8, label="each step")
    axes.plot(np.arange(len(smooth)) + window // 2, smooth, color=ink, linewidth=2, label="smoothed")
    axes.set(title="Training loss (bent digits, smoothed labels)", xlabel="step", ylabel="cross-entropy", ylim=0)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)

    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (truth, guess), 1)
    axes = matrix_part.subplots()
    axes.imshow(np.sqrt(matrix), cmap="Blues")
    for row, column in zip(*matrix.nonzero()):
        colour = "white" if row == column else red
        axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour, fontsize=9)
    axes.set(title="Confusion matrix", xlabel="read as", ylabel="is", xticks=range(10), yticks=range(10))

    filters = model.features[0][0].weight.detach().numpy()[:, 0]
    limit = np.abs(filters).max()
    filter_part.suptitle("First-layer filters (blue: ink counts for, red: against)")
    for axes, kernel in zip(filter_part.subplots(4, 8).flat, filters):
        axes.imshow(kernel, cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set(xticks=[], yticks=[])

    hard_part.suptitle("Mistakes, then the digits it was least sure of")
    hardest = np.lexsort((chance, truth == guess))[:18]
    for axes, i in zip(hard_part.subplots(3, 6).flat, hardest):
        axes.imshow(images[i], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        right = truth[i] == guess[i]
        text = f"{truth[i]} ({chance[i]:.0%} sure)" if right else f"{truth[i]} read as {guess[i]}"
        axes.set_title(text, fontsize=9, color="black" if right else red)
    figure.savefig(path, dpi=110)


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--epochs", type=int, default=40)
    parse.add_argument("--steps", type=int, help="stop after so many steps instead")
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--out", type=Path, default=Path("ember-demo"), help="folder for what is written")
    parse.add_argument("--quick", action="store_true", help="three epochs, to see that all works")
    parse.add_argument("--log-losses", type=Path, metavar="FILE", help="write every step's loss, one a line")
    parse.add_argument("--torch", action="store_true", help="run on PyTorch instead of Ember")
    options = parse.parse_args()

    torch.manual_seed(options.seed)
    train_set, test_set = load_data()
    images, labels = test_set.tensors
    model = Digits()
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(train_set)} digits to learn from, {len(test_set)} held out; {size:,} parameters")

    start = time.perf_counter()
    losses = train(model, train_set, 3 if options.quick else options.epochs, options.steps)
    guess, chance = predict(model, images)
    accuracy = (guess == labels).float().mean().item()
    print(f"accuracy on held-out digits: {accuracy:.2%} after {time.perf_counter() - start:.1f} s")
    if options.log_losses:
        options.log_losses.write_text("".join(f"{loss:.9g}\n" for loss in losses))

    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint, picture = options.out / "digits.pt", options.out / "digits.png"
    torch.save(model.state_dict(), checkpoint)
    again = Digits()
    again.load_state_dict(torch.load(checkpoint))
    assert torch.equal(predict(again, images)[0], guess), "the network read back from disk predicts otherwise"
    draw_report(picture, model, losses, images, labels, guess, chance)
    print(f"saved {checkpoint} (read back: same predictions) and {picture}")


if __name__ == "__main__":
    main()
