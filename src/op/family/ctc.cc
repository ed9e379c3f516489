// Connectionist temporal classification (Graves et al., 2006): the probability of all alignments of a sequence of
// labels to longer input, by the forward recursion over labels with blanks between them, in the log domain. It is
// composed of ordinary ops, a few a time step over the whole batch, so every derivative follows.
#include <array>

#include "op/family/dense.h"

namespace ember {
namespace {

// The logarithm of "impossible": far below any alignment, and finite, so that differences of two of them are numbers.
constexpr double kNever = -1e30;

// targets, padded [N, S] or concatenated, as [N, S].
Tensor padded_targets(const Tensor& targets, DimsView lengths) {
  if (targets.dim() == 2) return to_dtype(targets, DType::kInt64);
  EMBER_CHECK(targets.dim() == 1, "ctc_loss: targets must be 1D or 2D, but got ", targets.sizes());
  int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end()), at = 0;
  int64_t total = 0;
  for (int64_t l : lengths) total += l;
  EMBER_CHECK(total <= targets.numel(), "ctc_loss: Expected tensor to have size at least ", total,
              " at dimension 0, but "
              "got size ",
              targets.numel());
  Tensor out = zeros({static_cast<int64_t>(lengths.size()), longest}, DType::kInt64, targets.device());
  if (targets.is_meta()) return out;
  Tensor flat = dense(targets, DType::kInt64);
  for (size_t n = 0; n < lengths.size(); at += lengths[n++]) {
    std::copy_n(flat.data<int64_t>() + at, lengths[n], out.data<int64_t>() + static_cast<int64_t>(n) * longest);
  }
  return out;
}

// Rows shifted right by k, with kNever coming in.
Tensor shifted(const Tensor& x, int64_t k) {
  if (x.size(1) <= k) return full_like(x, kNever);
  Tensor fresh = full({x.size(0), k}, kNever, x.dtype(), x.device());
  return cat(std::array<Tensor, 2>{fresh, narrow(x, 1, 0, x.size(1) - k)}, 1);
}

Tensor ctc(const Tensor& log_probs, const Tensor& targets, DimsView input_lengths, DimsView target_lengths,
           int64_t blank, int64_t reduction, bool zero_infinity) {
  EMBER_CHECK(log_probs.dim() == 2 || log_probs.dim() == 3, "ctc_loss: log_probs must be [T, N, C] or [T, C], but got ",
              log_probs.sizes());
  bool single = log_probs.dim() == 2;
  Tensor lp = single ? unsqueeze(log_probs, 1) : log_probs;
  int64_t steps = lp.size(0), n = lp.size(1), classes = lp.size(2);
  EMBER_CHECK(static_cast<int64_t>(input_lengths.size()) == n, "ctc_loss: input_lengths must be of size batch_size");
  EMBER_CHECK(static_cast<int64_t>(target_lengths.size()) == n, "ctc_loss: target_lengths must be of size batch_size");
  EMBER_CHECK(blank >= 0 && blank < classes, "ctc_loss: blank must be in label range");
  for (int64_t t : input_lengths) {
    EMBER_CHECK(t >= 0 && t <= steps, "ctc_loss: Expected input_lengths to have value at most ", steps,
                ", but got value ", t);
  }
  for (int64_t l : target_lengths) EMBER_CHECK(l >= 0, "ctc_loss: target_lengths must not be negative, but got ", l);
  Tensor labels = padded_targets(single && targets.dim() == 1 ? unsqueeze(targets, 0) : targets, target_lengths);
  int64_t s = labels.size(1);
  const Device home = lp.device();
  for (int64_t l : target_lengths) {
    EMBER_CHECK(l <= s, "ctc_loss: Expected target_lengths to have value at most ", s, ", but got value ", l);
  }
  // Blanks around every label: b l1 b l2 b ... b.
  Tensor blanks = full_like(labels, blank);
  Tensor wide = reshape(stack(std::array<Tensor, 2>{blanks, labels}, 2), {n, 2 * s});
  wide = cat(std::array<Tensor, 2>{wide, full({n, 1}, blank, DType::kInt64, home)}, 1);
  // A label may follow the one before without a blank where they differ.
  Tensor leaps = zeros({n, 2 * s + 1}, DType::kBool, home);
  if (s > 1) {
    Tensor tail = logical_and(ne(narrow(wide, 1, 2, 2 * s - 1), narrow(wide, 1, 0, 2 * s - 1)),
                              ne(narrow(wide, 1, 2, 2 * s - 1), blank));
    leaps = cat(std::array<Tensor, 2>{zeros({n, 2}, DType::kBool, home), tail}, 1);
  }
  auto lengths = [&](DimsView v) {
    Tensor t = empty({n, 1}, DType::kInt64, home);
    if (!t.is_meta()) std::copy(v.begin(), v.end(), t.data<int64_t>());
    return t;
  };
  Tensor in_length = lengths(input_lengths), label_length = lengths(target_lengths);
  Tensor emit = gather(lp, 2, expand(unsqueeze(wide, 0), {steps, n, 2 * s + 1}));
  Tensor start = lt(arange(0, 2 * s + 1, 1, DType::kInt64, home), 2);
  Tensor never(kNever), zero_steps = eq(arange(0, 2 * s + 1, 1, DType::kInt64, home), 0);
  Tensor alpha = expand(where(zero_steps, zeros({1}, lp.dtype(), home), never), {n, 2 * s + 1});  // before any input
  for (int64_t t = 0; t < steps; ++t) {
    Tensor now = select(emit, 0, t), next;
    if (t == 0) {
      next = where(start, now, never);
    } else {
      Tensor leap = where(leaps, shifted(alpha, 2), never);
      next = logsumexp(stack(std::array<Tensor, 3>{alpha, shifted(alpha, 1), leap}, 2), {2}) + now;
    }
    alpha = where(gt(in_length, t), next, alpha);
  }
  Tensor ends =
      cat(std::array<Tensor, 2>{label_length * 2, maximum(label_length * 2 - 1, zeros_like(label_length))}, 1);
  Tensor final = gather(alpha, 1, ends);
  Tensor twice =
      logical_and(eq(label_length, 0), eq(arange(0, 2, 1, DType::kInt64, home), 1));  // no label: one end only
  Tensor loss = -logsumexp(where(twice, never, final), {1});
  // Inputs are taken for normalised, as PyTorch's gradient takes them: it has exp(log_probs) besides the derivative of
  // the likelihood, which the gradient of log_softmax cancels. The term's value is 0.
  Tensor counted = lt(reshape(arange(0, steps, 1, DType::kInt64, home), {steps, 1, 1}), reshape(in_length, {1, n, 1}));
  Tensor mass = sum(where(counted, exp(clamp_max(lp, 80)), 0), Dims{0, 2});
  loss = loss + (mass - mass.detach());
  Tensor impossible = gt(loss, -kNever / 2);
  loss = where(impossible, zero_infinity ? zeros_like(loss) : full_like(loss, std::numeric_limits<double>::infinity()),
               loss);
  if (reduction == reduction::kSum) return sum(loss);
  if (reduction == reduction::kMean)
    return mean(loss / clamp_min(to_dtype(reshape(label_length, {-1}), loss.dtype()), 1));
  return single ? squeeze(loss, {0}) : loss;
}

struct CtcLoss {
  static constexpr auto schema =
      "ctc_loss.IntList(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, "
      "int reduction=1, bool zero_infinity=False) -> Tensor";
  static constexpr auto doc = "-log of the probability of all alignments of targets [N, S] to log_probs [T, N, C]";
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& log_probs, const Tensor& targets, DimsView input_lengths, DimsView target_lengths,
                     int64_t blank, int64_t reduction, bool zero_infinity) {
    return ctc(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity);
  }
};

struct CtcLossTensor {
  static constexpr auto schema =
      "ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, "
      "int reduction=1, bool zero_infinity=False) -> Tensor";
  static constexpr auto doc = CtcLoss::doc;
  static constexpr auto kind = Kind::kComposite;
  static constexpr auto forms = form::kFunction;
  static Tensor call(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                     const Tensor& target_lengths, int64_t blank, int64_t reduction, bool zero_infinity) {
    auto list = [](const Tensor& t) {
      EMBER_CHECK_NOT_IMPLEMENTED(!t.is_meta(), "ctc_loss: lengths on the meta device have no values");
      Tensor d = dense(t, DType::kInt64);
      return Dims(DimsView(d.data<int64_t>(), static_cast<size_t>(d.numel())));
    };
    return ctc(log_probs, targets, list(input_lengths), list(target_lengths), blank, reduction, zero_infinity);
  }
};

}  // namespace

std::vector<std::unique_ptr<Op>> ctc_ops() { return make_family<CtcLoss, CtcLossTensor>(); }

}  // namespace ember
