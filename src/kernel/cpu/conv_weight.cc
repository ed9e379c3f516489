// Gradients of convolution's weight and bias. The weight's is a product whose k runs over positions: rows are dy's
// channels, columns (tap, channel) of a channels-last padded copy of x, read through a table of offsets. Sums over the
// batch are kept in fixed parts and joined in order, so bits do not depend on the number of threads.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/conv.h"
#include "kernel/cpu/conv_pad.h"
#include "kernel/cpu/conv_winograd.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm_tiles.h"
#include "kernel/cpu/row_kernels.h"

namespace ember::cpu {
namespace conv {
namespace {

// Channels-last padded copy of one image: [d][h][w][channel], coordinates shifted by the padding.
template <class S, class T>
void pad_last(const Conv& c, const int64_t* size, const S* x, const Strides& from, int64_t d, T* out) {
  const int64_t channels = c.in_channels, row = size[2] * channels;
  for (int64_t h = 0; h < size[1]; ++h, out += row) {
    const int64_t sd = d - c.padding[0], sh = h - c.padding[1];
    if (sd < 0 || sd >= c.in[0] || sh < 0 || sh >= c.in[1]) {
      std::fill_n(out, row, T(0));
      continue;
    }
    const Range w = inside(c.in[2], c.padding[2], 1, 0, size[2]);
    const S* line = x + sd * from.space[0] + sh * from.space[1] + (w.begin - c.padding[2]) * from.space[2];
    std::fill_n(out, w.begin * channels, T(0));
    if (from.channel == 1) {
      for (int64_t i = 0; i < (w.end - w.begin) * channels; ++i) out[w.begin * channels + i] = wide(line[i]);
    } else {
      for (int64_t ch = 0; ch < channels; ch += 16) {  // squares, so that both sides stay in cache
        const int64_t end = std::min(channels, ch + 16);
        for (int64_t i = w.begin; i < w.end; ++i)
          for (int64_t j = ch; j < end; ++j) out[i * channels + j] = wide(line[(i - w.begin) + j * from.channel]);
      }
    }
    std::fill_n(out + w.end * channels, (size[2] - w.end) * channels, T(0));
  }
}

// One input channel a group: each weight is one dot product of dy with a shifted x.
template <class S, class T>
void depthwise_weight(const Conv& c, const S* x, const S* dy, S* dweight) {
  const auto& k = conv_table<T>();
  const Padded p = padded_for(c), bare{{0, 0, 0}, {1, 1, 1}, {c.out[0], c.out[1], c.out[2]}};
  const Strides from = strides_of(c.in_channels, c.in, c.x_last), grad = strides_of(c.out_channels, c.out, c.y_last);
  const bool straight = std::is_same_v<S, T> && !c.y_last;
  const int64_t taps = volume(c.kernel), m = c.out_channels / c.groups, positions = volume(c.out);
  const std::vector<int64_t> offsets = tap_offsets(c, p, 1);
  const int64_t work = c.batch * m * taps * positions;
  parallel_for(0, c.groups, std::max<int64_t>(1, (1 << 16) / (work + 1)), [&](int64_t b, int64_t e) {
    const Scratch memory((p.plane() + positions + 2 * kTileSlack) * sizeof(T)), sum_memory(m * taps * sizeof(double));
    T *xs = memory.as<T>(), *gs = xs + p.plane() + kTileSlack;
    double* sums = sum_memory.as<double>();
    std::vector<T> image(taps);
    for (int64_t group = b; group < e; ++group) {
      std::fill_n(sums, m * taps, 0.0);
      for (int64_t i = 0; i < c.batch; ++i) {
        pad_channel(p, c.in, x + i * from.image + group * from.channel, from.space, xs);
        for (int64_t r = 0; r < m; ++r) {
          const S* g = dy + i * grad.image + (group * m + r) * grad.channel;
          if (!straight) pad_channel(bare, c.out, g, grad.space, gs);
          std::fill_n(image.begin(), taps, T(0));
          for (int64_t d = 0; d < c.out[0]; ++d)
            k.tap_sums(xs + d * p.q[1] * p.q[2], p.q[2],
                       (straight ? reinterpret_cast<const T*>(g) : gs) + d * c.out[1] * c.out[2], c.out[2], c.out[1],
                       c.out[2], offsets.data(), taps, image.data());
          for (int64_t t = 0; t < taps; ++t) sums[r * taps + t] += image[t];
        }
      }
      for (int64_t j = 0; j < m * taps; ++j) narrow(static_cast<T>(sums[j]), dweight[group * m * taps + j]);
    }
  });
}

template <class S, class T>
void backward_weight(const Conv& c, const S* x, const S* dy, S* dweight) {
  if (c.groups > 1 && c.groups == c.in_channels) return depthwise_weight<S, T>(c, x, dy, dweight);
  if constexpr (std::is_same_v<S, float>)
    if (const auto w = winograd_of(c, false)) return winograd_weight(*w, x, dy, dweight);
  const auto& g = gemm_table<T>();
  const int64_t m = c.out_channels / c.groups, channels = c.in_channels / c.groups, taps = volume(c.kernel);
  const int64_t positions = volume(c.out), row_width = taps * channels;
  int64_t size[3];
  for (int i = 0; i < 3; ++i) size[i] = (c.out[i] - 1) * c.stride[i] + (c.kernel[i] - 1) * c.dilation[i] + 1;
  // Taps along w are neighbours of the channels in memory, unless dilation or groups come between.
  const bool merged = c.groups == 1 && c.dilation[2] == 1;
  // Where even so few columns lie together (few input channels), all taps of a position are copied into one patch, if
  // that stays small or the gain is large.
  const int64_t together = merged ? c.kernel[2] * channels : channels;
  const bool small = row_width * positions <= 1 << 16 || 2 * together <= g.lanes;
  const bool patches =
      small && c.groups == 1 && taps > 1 && row_width <= 256 && together % (2 * g.lanes) != 0 && together < 4 * g.lanes;
  const int64_t columns = patches ? row_width : together, lines = row_width / columns;
  std::vector<int64_t> offsets;
  for (int64_t d = 0; d < c.out[0]; ++d)
    for (int64_t h = 0; h < c.out[1]; ++h)
      for (int64_t w = 0; w < c.out[2]; ++w)
        offsets.push_back(((d * c.stride[0] * size[1] + h * c.stride[1]) * size[2] + w * c.stride[2]) * c.in_channels);
  const int64_t image = volume(size) * c.in_channels, grads = c.out_channels * positions,
                patch = patches ? positions * row_width : 0;
  const int64_t chunk = std::clamp<int64_t>(kImageChunk / (image + grads + patch), 1, c.batch);
  const int64_t panels = ceil_div(m, g.rows), tiles = c.groups * panels * lines;
  // Few tiles and many images: fixed partial sums by image number, joined in order.
  const int64_t parts =
      std::clamp<int64_t>(ceil_div(16, tiles), 1, std::min<int64_t>(8, std::max<int64_t>(1, c.batch)));
  const int64_t total = c.out_channels * row_width,
                nr = int64_t{g.lanes} * (m <= g.thin_rows ? kMaxTileVectors : g.vectors);
  const Scratch sums_memory(parts * total * sizeof(T)), padded_memory((chunk * image + 2 * kTileSlack) * sizeof(T)),
      packed_memory((chunk * grads + kTileSlack) * sizeof(T)),
      patch_memory((chunk * patch + 2 * kTileSlack) * sizeof(T));
  T *sums = sums_memory.as<T>(), *padded = padded_memory.as<T>(), *packed = packed_memory.as<T>();
  std::fill_n(sums, parts * total, T(0));
  std::vector<int64_t> shifts;  // of each tap, or each run of merged taps
  for (int64_t d = 0; d < c.kernel[0]; ++d)
    for (int64_t h = 0; h < c.kernel[1]; ++h)
      for (int64_t w = 0; w < (merged ? 1 : c.kernel[2]); ++w)
        shifts.push_back(((d * c.dilation[0] * size[1] + h * c.dilation[1]) * size[2] + w * c.dilation[2]) *
                         c.in_channels);
  std::vector<int64_t> rows;  // what the tile reads for each position
  for (int64_t i = 0; i < positions; ++i) rows.push_back(patches ? i * row_width : offsets[i]);
  const T* columns_of = patches ? patch_memory.as<T>() : padded;
  const int64_t column_image = patches ? patch : image;
  const Strides from = strides_of(c.in_channels, c.in, c.x_last), grad = strides_of(c.out_channels, c.out, c.y_last);
  for (int64_t first = 0; first < c.batch; first += chunk) {
    const int64_t images = std::min(chunk, c.batch - first);
    parallel_for(0, images * size[0], std::max<int64_t>(1, (1 << 15) / (image / size[0])), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        pad_last(c, size, x + (first + i / size[0]) * from.image, from, i % size[0], padded + i * (image / size[0]));
    });
    if (patches)
      parallel_for(0, images, std::max<int64_t>(1, (1 << 15) / patch), [&](int64_t b, int64_t e) {
        T* out = patch_memory.as<T>() + b * patch;
        for (int64_t i = b; i < e; ++i)
          for (int64_t at : offsets)
            for (int64_t shift : shifts) copy_row(padded + i * image + at + shift, together, out), out += together;
      });
    // dy in tile order, [image][group][k block][panel][position][row].
    parallel_for(0, images * c.groups, std::max<int64_t>(1, (1 << 15) / (m * positions)), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        for (int64_t p = 0; p < positions; p += kGemmKc)
          g.pack_a[kKind<S>](
              dy + (first + i / c.groups) * grad.image + i % c.groups * m * grad.channel + p * grad.space[2],
              grad.channel, grad.space[2], m, std::min(kGemmKc, positions - p), packed + i * m * positions + p * m);
    });
    parallel_for(0, parts * tiles, 1, [&](int64_t b, int64_t e) {
      Tile<T> t;
      t.ldb = 0, t.ldc = row_width, t.alpha = 1, t.beta = 1, t.add = TileAdd::kC, t.bias = nullptr;
      for (int64_t task = b; task < e; ++task) {
        const int64_t part = task / tiles, group = task % tiles / (panels * lines), r = task / lines % panels * g.rows;
        const int64_t line = task % lines, h = std::min<int64_t>(g.rows, m - r);
        const int64_t shift = (patches ? 0 : shifts[line]) + group * channels;
        T* to = sums + part * total + (group * m + r) * row_width + line * columns;
        for (int64_t i = 0; i < images; ++i) {
          if ((first + i) % parts != part) continue;
          for (int64_t p = 0; p < positions; p += kGemmKc) {
            t.k = std::min(kGemmKc, positions - p), t.offsets = rows.data() + p;
            t.lda = h, t.a = packed + (i * c.groups + group) * m * positions + p * m + r * t.k;
            for (int64_t j = 0; j < columns; j += nr) {
              t.columns = std::min(nr, columns - j), t.b = columns_of + i * column_image + shift + j, t.c = to + j;
              g.tile[h][ceil_div(t.columns, g.lanes)](t);
            }
          }
        }
      }
    });
  }
  // [oc][taps][channel] sums to [oc][channel][taps].
  for (int64_t o = 0; o < c.out_channels; ++o)
    for (int64_t ch = 0; ch < channels; ++ch)
      for (int64_t t = 0; t < taps; ++t) {
        T sum = 0;
        for (int64_t part = 0; part < parts; ++part) sum += sums[part * total + (o * taps + t) * channels + ch];
        narrow(sum, dweight[(o * channels + ch) * taps + t]);
      }
}

}  // namespace
}  // namespace conv

void conv_backward_weight(DType dtype, const Conv& c, const void* x, const void* dy, void* dweight) {
  with_float("conv", dtype, [&]<class S, class T>() {
    conv::backward_weight<S, T>(c, static_cast<const S*>(x), static_cast<const S*>(dy), static_cast<S*>(dweight));
  });
}

void conv_backward_bias(DType dtype, const Conv& c, const void* dy, void* dbias) {
  with_float("conv", dtype, [&]<class S, class T>() {
    const auto& k = row_table<S, T>();
    const int64_t space = conv::volume(c.out), channels = c.out_channels;
    const S* from = static_cast<const S*>(dy);
    S* to = static_cast<S*>(dbias);
    if (c.y_last) {
      const Scratch memory(channels * sizeof(T));
      std::fill_n(memory.as<T>(), channels, T(0));
      for (int64_t j = 0; j < channels; j += kBand)
        k.column_sums(from + j, c.batch * space, channels, std::min(kBand, channels - j), memory.as<T>() + j);
      for (int64_t j = 0; j < channels; ++j) narrow(memory.as<T>()[j], to[j]);
    } else {
      parallel_for(0, channels, std::max<int64_t>(1, (1 << 15) / (c.batch * space + 1)), [&](int64_t b, int64_t e) {
        for (int64_t j = b; j < e; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < c.batch; ++i) sum += k.sum(from + (i * channels + j) * space, space);
          narrow(static_cast<T>(sum), to[j]);
        }
      });
    }
  });
}

}  // namespace ember::cpu
