"""Writes like a manual: a small GPT trained letter by letter on the Python language reference.

An ordinary PyTorch program: `python chargpt.py` runs it on Ember, `python chargpt.py --torch` on PyTorch, and from the
same seed both print the same losses. The text (460 kB of English and grammar) ships with Python in `pydoc_data`. The
network sees a window of letters and is asked, at every position at once, which comes next; after a few hundred steps
it spells, indents, and opens and closes its quotes. At the end it is saved, read back and checked, and writes a page.
"""

import argparse
import math
import re
import sys
import time
from pathlib import Path

if "--torch" in sys.argv:
    import torch
else:
    import ember as torch
from pydoc_data.topics import topics

from tqdm import tqdm

nn, F = torch.nn, torch.nn.functional


class Block(nn.Module):
    """Attention, then a two-layer network; each reads a normalised copy of the stream and adds to the stream."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.join = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """(N, L) letters -> (N, L, letters) scores of the letter that follows each. The table of letters is read both ways:
    to enter the stream, and to leave it."""

    def __init__(self, letters, context=64, width=128, heads=4, layers=3):
        super().__init__()
        self.context = context
        self.letter = nn.Embedding(letters, width)
        self.place = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.dim() == 2:  # what writes into the stream starts smaller, as there are many who do
                shrink = math.sqrt(2 * layers) if name.endswith(("join.weight", "mlp.2.weight")) else 1
                nn.init.normal_(p, std=0.04 / shrink)

    def forward(self, letters):
        x = self.letter(letters) + self.place(torch.arange(letters.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.letter.weight)

    @torch.no_grad()
    def write(self, letters, count, temperature=0.6, top=20):
        """Continues (1, L) letters by `count` more, each drawn from the `top` likeliest."""
        self.eval()
        for _ in range(count):
            scores, choice = self(letters[:, -self.context :])[:, -1].div(temperature).topk(top)
            pick = torch.multinomial(F.softmax(scores, dim=-1), 1)
            letters = torch.cat([letters, choice.gather(1, pick)], dim=1)
        return letters


def load_text():
    """The reference without its tables, in plain ASCII; its alphabet; and the text as numbers."""
    lines = "\n\n".join(topics[name] for name in sorted(topics)).splitlines()
    text = "\n".join(line for line in lines if not line.startswith(("|", "+-", "***", "===", "---")))
    text = re.sub(r" {9,}", " " * 8, text)
    text = "".join(c for c in text if c == "\n" or " " <= c <= "~")
    alphabet = sorted(set(text))
    number = {c: i for i, c in enumerate(alphabet)}
    return alphabet, torch.tensor([number[c] for c in text])


def windows(data, count, context):
    """`count` random windows of the text, and the same windows one letter later."""
    at = torch.randint(len(data) - context, (count, 1)) + torch.arange(context)
    return data[at], data[at + 1]


def train(model, data, steps, batch=32, peak=6e-3, climb=50):
    """AdamW; the rate climbs for `climb` steps, then falls along a cosine. Returns the loss of every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.99), weight_decay=0.05)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / climb, 0.02 + 0.49 * (1 + math.cos(math.pi * min(1, i / steps))))
    )
    losses = []
    model.train()
    with tqdm(range(steps), desc="chargpt", unit="step") as bar:
        for _ in bar:
            letters, following = windows(data, batch, model.context)
            loss = F.cross_entropy(model(letters).flatten(0, 1), following.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rate.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return losses


@torch.no_grad()
def held_out_loss(model, data, batch=64):
    """Mean loss over the held-out text, cut into windows that do not overlap."""
    model.eval()
    count = (len(data) - 1) // model.context
    rows = data[: count * model.context].view(count, -1), data[1 : count * model.context + 1].view(count, -1)
    total = 0.0
    for letters, following in zip(*(part.split(batch) for part in rows)):
        total += F.cross_entropy(model(letters).flatten(0, 1), following.flatten(), reduction="sum").item()
    return total / (count * model.context)


def draw_curve(path, losses, held_out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    axes.plot(losses, color="#1f4e8c", linewidth=1.2, label="training, each step")
    axes.axhline(held_out, color="#b03030", linestyle="--", label=f"held-out text at the end: {held_out:.3f}")
    axes.set(title="A GPT learns to write the Python language reference", xlabel="step", ylabel="nats per letter")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--steps", type=int, default=500)
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--out", type=Path, default=Path("ember-demo"), help="folder for what is written")
    parse.add_argument("--quick", action="store_true", help="twenty steps, to see that all works")
    parse.add_argument("--log-losses", type=Path, metavar="FILE", help="write every step's loss, one a line")
    parse.add_argument("--torch", action="store_true", help="run on PyTorch instead of Ember")
    options = parse.parse_args()

    torch.manual_seed(options.seed)
    alphabet, data = load_text()
    train_data, test_data = data[: -len(data) // 20], data[-len(data) // 20 :]
    model = GPT(len(alphabet))
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(data):,} letters of {len(alphabet)} kinds; {size:,} parameters")

    start = time.perf_counter()
    losses = train(model, train_data, 20 if options.quick else options.steps)
    held_out = held_out_loss(model, test_data)
    seconds = time.perf_counter() - start
    print(f"held-out loss {held_out:.3f} nats a letter ({held_out / math.log(2):.2f} bits) after {seconds:.1f} s")
    if options.log_losses:
        options.log_losses.write_text("".join(f"{loss:.9g}\n" for loss in losses))

    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint, picture, page = (options.out / f"chargpt.{kind}" for kind in ("pt", "png", "txt"))
    torch.save(model.state_dict(), checkpoint)
    again = GPT(len(alphabet))
    again.load_state_dict(torch.load(checkpoint))
    assert held_out_loss(again, test_data) == held_out, "the network read back from disk predicts otherwise"
    draw_curve(picture, losses, held_out)

    letters = again.write(torch.tensor([[alphabet.index("T")]]), 60 if options.quick else 600)
    sample = "".join(alphabet[i] for i in letters[0].tolist()).strip("\n")
    page.write_text(sample + "\n")
    print("\n".join("  | " + line for line in sample.splitlines()))
    print(f"saved {checkpoint} (read back: same loss), {picture} and {page}")


if __name__ == "__main__":
    main()
