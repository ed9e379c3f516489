// Winograd's convolution (Lavin and Gray 2015, arXiv:1509.09308): each tile of 2 x 2 outputs sees 4 x 4 inputs, and the
// transformed tile is 16 products over the channels, one matrix product for each of the 16 places. A task takes a block
// of tiles that fits in cache through all stages. Lanes are channels throughout; bits depend on the shape of one image.
// The filters' gradient is the adjoint, stage by stage, with its sums over the batch in fixed shares.
#include "kernel/cpu/conv_winograd.h"

#include <algorithm>

namespace ember::cpu::conv {
namespace {

constexpr int64_t kPlaces = 16;                   // of a transformed tile
constexpr int64_t kTiles = 56, kManyTiles = 112;  // of a block, where the filters fit in L2 and where they do not
constexpr int64_t kCachedFilters = 1 << 17;       // elements
constexpr int64_t kShares = 8;                    // of the batch, at most

// How the work is cut, and the stage that both directions begin with.
class Plan {
 public:
  Plan(const Winograd& c, const float* x)
      : g_(conv_table<float>()),
        c_(c),
        x_(x),
        lanes_(g_.lanes),
        panel_(ceil_div(c.m, lanes_) % 2 == 0 || c.m > 8 * lanes_ ? 2 : 1),  // two, unless half of the last were empty
        panels_(ceil_div(c.m, panel_ * lanes_)),
        sources_(ceil_div(c.channels, lanes_)),
        down_(ceil_div(c.out[0], 2)),
        across_(ceil_div(c.out[1], 2)),
        line_((2 * across_ + 2) * lanes_) {
    const int64_t wanted = kPlaces * c.channels * c.m <= kCachedFilters ? kTiles : kManyTiles;
    rows_ = std::clamp<int64_t>(wanted / across_, 1, down_);
    images_ = rows_ < down_ ? 1 : std::clamp<int64_t>(wanted / (down_ * across_), 1, c.batch);
  }

 protected:
  struct Block {
    int64_t image, row;    // the first; rows are of tiles
    int64_t images, rows;  // how many
    int64_t tiles;
  };
  int64_t block_count() const { return ceil_div(c_.batch, images_) * ceil_div(down_, rows_); }
  Block block(int64_t i) const {
    const int64_t image = i / ceil_div(down_, rows_) * images_, row = i % ceil_div(down_, rows_) * rows_;
    const int64_t images = std::min(images_, c_.batch - image), rows = std::min(rows_, down_ - row);
    return {image, row, images, rows, images * rows * across_};
  }
  int64_t width() const { return panel_ * lanes_; }
  int64_t tiles() const { return images_ * rows_ * across_; }                    // room for a block's
  int64_t padded() const { return images_ * (2 * rows_ + 2) * line_; }           // elements of a block's pixels
  int64_t transformed() const { return kPlaces * sources_ * tiles() * lanes_; }  // and of their transforms
  int64_t outputs_in(int64_t panel) const { return std::min(width(), c_.m - panel * width()); }

  // Rows [begin, end) of an image, `channels` of them in lanes, to lines of `to`.
  void pixels(const float* x, const Strides& s, int64_t channels, int64_t begin, int64_t end, int64_t across,
              float* to) const {
    if (begin >= end) return;
    x += begin * s.space[1];
    if (s.space[2] == 1) return g_.to_lanes(x, s.channel, channels, (end - begin) * across, across, line_ / lanes_, to);
    for (int64_t h = begin; h < end; ++h, x += s.space[1], to += line_)
      for (int64_t w = 0; w < across; ++w)
        for (int64_t q = 0; q < lanes_; ++q)
          to[w * lanes_ + q] = q < channels ? x[w * s.space[2] + q * s.channel] : 0.0f;
  }

  // The block's tiles of one group, transformed: [place][channels / lanes][tile][lane]. Margins of `source` are zero.
  void transform(const Block& b, int64_t group, float* source, float* v) const {
    const int64_t first = 2 * b.row - c_.padding[0], rows = 2 * b.rows + 2;
    const int64_t begin = std::clamp<int64_t>(first, 0, c_.in[0]),
                  end = std::clamp<int64_t>(first + rows, begin, c_.in[0]);
    for (int64_t ch = 0; ch < sources_; ++ch) {
      const int64_t channels = std::min(lanes_, c_.channels - ch * lanes_);
      for (int64_t i = 0; i < b.images; ++i) {
        float* to = source + i * (2 * rows_ + 2) * line_;
        std::fill_n(to, (begin - first) * line_, 0.0f);
        std::fill(to + (end - first) * line_, to + rows * line_, 0.0f);
        pixels(x_ + (b.image + i) * c_.from.image + (group * c_.channels + ch * lanes_) * c_.from.channel, c_.from,
               channels, begin, end, c_.in[1], to + (begin - first) * line_ + c_.padding[1] * lanes_);
        for (int64_t r = 0; r < b.rows; ++r)
          g_.winograd_input(to + 2 * r * line_, line_ / lanes_, across_,
                            v + (ch * tiles() + (i * b.rows + r) * across_) * lanes_, sources_ * tiles() * lanes_);
      }
    }
  }

  const ConvTable<float>& g_;
  const Winograd& c_;
  const float* x_;
  int64_t lanes_, panel_, panels_;  // registers of outputs in a panel; panels
  int64_t sources_;                 // registers of source channels
  int64_t down_, across_, line_;    // tiles of an image; elements of a padded row of pixels
  int64_t rows_ = 1, images_ = 1;   // of tiles, and of images: a block
};

class Forward : Plan {
 public:
  Forward(const Winograd& c, const float* x, const Filter<float>& filter, const float* bias, float* y)
      : Plan(c, x),
        y_(y),
        filters_(c.groups * panels_ * kPlaces * c.channels * width() * sizeof(float)),
        bias_(c.groups * panels_ * width()),
        zeros_(width()) {
    std::vector<int64_t> offsets;
    for (int64_t ch = 0; ch < c.channels; ++ch) offsets.push_back(ch / lanes_ * tiles() * lanes_ + ch % lanes_);
    runs_ = runs_of(offsets);
    transform_filters(filter);
    for (int64_t i = 0; bias && i < c.groups * c.m; ++i) bias_[i / c.m * panels_ * width() + i % c.m] = bias[i];
  }

  void run() const {
    const int64_t blocks = block_count() * c_.groups;
    const int64_t parts = std::clamp<int64_t>(ceil_div(num_threads(), blocks), 1, panels_);
    parallel_for(0, blocks * parts, 1, [&](int64_t begin, int64_t end) {
      const Scratch source(padded() * sizeof(float)), v(transformed() * sizeof(float)),
          m(kPlaces * tiles() * width() * sizeof(float)), out((4 * across_ + lanes_) * width() * sizeof(float));
      std::fill_n(source.as<float>(), padded(), 0.0f);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t group = task / parts % c_.groups, part = task % parts;
        const Block b = block(task / parts / c_.groups);
        transform(b, group, source.as<float>(), v.as<float>());
        for (int64_t panel = panels_ * part / parts; panel < panels_ * (part + 1) / parts; ++panel) {
          multiply(b, filter_of(group, panel), v.as<float>(), m.as<float>());
          write(b, group, panel, m.as<float>(), out.as<float>());
        }
      }
    });
  }

 private:
  float* filter_of(int64_t group, int64_t panel) const {
    return filters_.as<float>() + (group * panels_ + panel) * kPlaces * c_.channels * width();
  }

  // [group][panel][place][channel][width]
  void transform_filters(const Filter<float>& f) const {
    const auto& gemm = gemm_table<float>();
    const int64_t k = 9 * c_.channels;
    const int64_t along = f.channel == 9 ? k : 9;  // numbers of the filter that follow one another
    parallel_for(0, c_.groups * panels_, ceil_div(1 << 13, c_.channels * width()), [&](int64_t begin, int64_t end) {
      const Scratch memory((k * width() + kTileSlack) * sizeof(float));
      float* packed = memory.as<float>();
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i % panels_, n = outputs_in(panel);
        const float* w = f.w + i / panels_ * f.group + panel * width() * f.row;
        if (n < width()) std::fill_n(packed, k * width(), 0.0f);
        for (int64_t p = 0; p < k; p += along)
          gemm.pack_b[0](w + p / 9 * f.channel, 1, f.row, along, n, width(), packed + p * width());
        g_.winograd_filter(packed, width(), c_.channels, c_.turned, filter_of(i / panels_, panel),
                           c_.channels * width());
      }
    });
  }

  // m[place][tile][width] = v[place][tile] x filters[place], a chain of fma over the channels each.
  void multiply(const Block& b, const float* filters, const float* v, float* m) const {
    const int64_t most = std::min<int64_t>(kMaxConvColumns, g_.sums / panel_);
    const int64_t columns = ceil_div(b.tiles, ceil_div(b.tiles, most));
    ConvTile<float> t;
    t.pitch = 0, t.bias = zeros_.data();
    for (int64_t place = 0; place < kPlaces; ++place)
      for (int64_t first = 0; first < b.tiles; first += columns) {
        t.x = v + (place * sources_ * tiles() + first) * lanes_, t.out = m + (place * tiles() + first) * width();
        for (size_t k = 0; k < runs_.size(); ++k) {
          t.runs = runs_[k].data(), t.run_count = static_cast<int64_t>(runs_[k].size()), t.add = k > 0;
          t.w = filters + (place * c_.channels + static_cast<int64_t>(k) * kGemmKc) * width();
          g_.blocked[std::min(columns, b.tiles - first)][panel_](t);
        }
      }
  }

  void write(const Block& b, int64_t group, int64_t panel, const float* m, float* out) const {
    const int64_t n = outputs_in(panel), row = 2 * across_ * width(), first = group * c_.m + panel * width();
    for (int64_t i = 0; i < b.images; ++i)
      for (int64_t r = 0; r < b.rows; ++r) {
        g_.winograd_output(m + (i * b.rows + r) * across_ * width(), tiles() * width(), width(), across_,
                           bias_.data() + (group * panels_ + panel) * width(), out, out + row);
        float* y = y_ + (b.image + i) * c_.to.image + first * c_.to.channel;
        for (int64_t h = 2 * (b.row + r); h < std::min(2 * (b.row + r) + 2, c_.out[0]); ++h) {
          const float* from = out + h % 2 * row;
          float* to = y + h * c_.to.space[1];
          if (c_.to.space[2] == 1) {
            g_.planes[0](from, width(), c_.out[1], n, to, c_.to.channel);
          } else {
            for (int64_t w = 0; w < c_.out[1]; ++w)
              for (int64_t q = 0; q < n; ++q) to[w * c_.to.space[2] + q * c_.to.channel] = from[w * width() + q];
          }
        }
      }
  }

  float* y_;
  Scratch filters_;
  std::vector<float> bias_, zeros_;
  std::vector<std::vector<Run>> runs_;
};

class Weight : Plan {
 public:
  Weight(const Winograd& c, const float* x, const float* dy, float* dweight)
      : Plan(c, x), dy_(dy), dweight_(dweight), zeros_(width()) {}

  void run() const {
    const int64_t shares = std::min(kShares, block_count()), size = kPlaces * c_.channels * width();
    const int64_t parts = std::clamp<int64_t>(ceil_div(num_threads(), shares * c_.groups), 1, panels_);
    const Scratch sums_memory(c_.groups * shares * panels_ * size * sizeof(float));
    float* sums = sums_memory.as<float>();  // [group][share][panel][place][channel][width]
    parallel_for(0, c_.groups * shares * parts, 1, [&](int64_t begin, int64_t end) {
      const Scratch source(padded() * sizeof(float)), v(transformed() * sizeof(float)),
          grad(images_ * 2 * rows_ * line_ * sizeof(float)), z(kPlaces * tiles() * width() * sizeof(float));
      std::fill_n(source.as<float>(), padded(), 0.0f);
      std::fill_n(grad.as<float>(), images_ * 2 * rows_ * line_, 0.0f);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t group = task / parts / shares, share = task / parts % shares, part = task % parts;
        const int64_t first = block_count() * share / shares, last = block_count() * (share + 1) / shares;
        for (int64_t i = first; i < last; ++i) {
          const Block b = block(i);
          transform(b, group, source.as<float>(), v.as<float>());
          for (int64_t panel = panels_ * part / parts; panel < panels_ * (part + 1) / parts; ++panel) {
            spread(b, group, panel, grad.as<float>(), z.as<float>());
            multiply(b, v.as<float>(), z.as<float>(), i > first,
                     sums + ((group * shares + share) * panels_ + panel) * size);
          }
        }
      }
    });
    parallel_for(0, c_.groups * panels_, 1, [&](int64_t begin, int64_t end) {
      const Scratch memory((9 * c_.channels + lanes_) * width() * sizeof(float));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / panels_, panel = i % panels_;
        float* total = sums + (group * shares * panels_ + panel) * size;
        for (int64_t s = 1; s < shares; ++s)
          for (int64_t j = 0; j < size; ++j) total[j] += total[s * panels_ * size + j];
        g_.winograd_gather(total, c_.channels * width(), width(), c_.channels, memory.as<float>());
        g_.planes[0](memory.as<float>(), width(), 9 * c_.channels, outputs_in(panel),
                     dweight_ + (group * c_.m + panel * width()) * 9 * c_.channels, 9 * c_.channels);
      }
    });
  }

 private:
  // The block's gradients of one panel's outputs, by the output transform's adjoint: [place][tile][width].
  void spread(const Block& b, int64_t group, int64_t panel, float* grad, float* z) const {
    const int64_t begin = 2 * b.row, end = std::min(begin + 2 * b.rows, c_.out[0]);
    for (int64_t v = 0; v < panel_; ++v) {
      const int64_t first = panel * width() + v * lanes_, n = std::clamp<int64_t>(c_.m - first, 0, lanes_);
      for (int64_t i = 0; i < b.images; ++i) {
        float* to = grad + i * 2 * rows_ * line_;
        pixels(dy_ + (b.image + i) * c_.to.image + (group * c_.m + first) * c_.to.channel, c_.to, n, begin, end,
               c_.out[1], to);
        std::fill(to + (end - begin) * line_, to + 2 * b.rows * line_, 0.0f);
        for (int64_t r = 0; r < b.rows; ++r)
          g_.winograd_spread(to + 2 * r * line_, line_ / lanes_, across_,
                             z + (i * b.rows + r) * across_ * width() + v * lanes_, tiles() * width(), width());
      }
    }
  }

  // sums[place][channel][width] (+)= v[place]' x z[place], a chain of fma over the block's tiles each.
  void multiply(const Block& b, const float* v, const float* z, bool add, float* sums) const {
    const int64_t most = std::min<int64_t>(kMaxConvColumns, g_.sums / panel_);
    const Run run{0, b.tiles, lanes_};
    ConvTile<float> t;
    t.pitch = 0, t.bias = zeros_.data(), t.runs = &run, t.run_count = 1, t.add = add;
    for (int64_t place = 0; place < kPlaces; ++place)
      for (int64_t ch = 0; ch < sources_; ++ch) {
        const int64_t n = std::min(lanes_, c_.channels - ch * lanes_), columns = ceil_div(n, ceil_div(n, most));
        t.w = z + place * tiles() * width();
        for (int64_t first = 0; first < n; first += columns) {
          t.x = v + (place * sources_ + ch) * tiles() * lanes_ + first;
          t.out = sums + (place * c_.channels + ch * lanes_ + first) * width();
          g_.tile[1][std::min(columns, n - first)][panel_](t);
        }
      }
  }

  const float* dy_;
  float* dweight_;
  std::vector<float> zeros_;
};

}  // namespace

std::optional<Winograd> winograd_of(const Conv& c, bool to_data) {
  bool square = c.in[0] == 1 && c.out[0] == 1 && c.kernel[0] == 1;
  for (int i = 1; i < 3; ++i)
    square &= c.kernel[i] == 3 && c.stride[i] == 1 && c.dilation[i] == 1 && c.padding[i] >= 0 && c.padding[i] <= 2;
  if (!square) return std::nullopt;
  Winograd w{c.batch,
             c.groups,
             c.in_channels / c.groups,
             c.out_channels / c.groups,
             {c.in[1], c.in[2]},
             {c.out[1], c.out[2]},
             {c.padding[1], c.padding[2]},
             strides_of(c.in_channels, c.in, c.x_last),
             strides_of(c.out_channels, c.out, c.y_last),
             to_data};
  if (to_data) {
    std::swap(w.channels, w.m), std::swap(w.in, w.out), std::swap(w.from, w.to);
    for (int64_t& p : w.padding) p = 2 - p;
  }
  const int64_t lanes = conv_table<float>().lanes, tiles = ceil_div(w.out[0], 2) * ceil_div(w.out[1], 2);
  const bool saves = 5 * kPlaces * tiles < 4 * 9 * w.out[0] * w.out[1];  // a quarter for the transforms
  return saves && w.channels >= lanes && w.m >= lanes ? std::optional(w) : std::nullopt;
}

void winograd(const Winograd& c, const float* x, const Filter<float>& filter, const float* bias, float* y) {
  Forward(c, x, filter, bias, y).run();
}

void winograd_weight(const Winograd& c, const float* x, const float* dy, float* dweight) {
  Weight(c, x, dy, dweight).run();
}

}  // namespace ember::cpu::conv
