// Winograd's convolution (Lavin and Gray 2015, arXiv:1509.09308): each tile of 2 x 2 outputs sees 4 x 4 inputs, and the
// transformed tile is 16 products over the channels, one matrix product for each of the 16 places. A task takes a block
// of tiles that fits in cache through all stages. Lanes are channels throughout; bits depend on the shape of one image.
#include "kernel/cpu/conv_winograd.h"

#include <algorithm>

namespace ember::cpu::conv {
namespace {

constexpr int64_t kParts = 16;                    // of a tile
constexpr int64_t kTiles = 56, kManyTiles = 112;  // of a block, where the filters fit in L2 and where they do not
constexpr int64_t kCachedFilters = 1 << 17;       // elements

class Plan {
 public:
  Plan(const Winograd& c, const float* x, const Filter<float>& filter, const float* bias, float* y)
      : c_(c),
        x_(x),
        y_(y),
        lanes_(conv_table<float>().lanes),
        vectors_(ceil_div(c.m, lanes_)),
        panel_(vectors_ % 2 == 0 || vectors_ > 8 ? 2 : 1),  // two, unless half of the last would be empty
        panels_(ceil_div(vectors_, panel_)),
        blocks_(ceil_div(c.channels, lanes_)),
        down_(ceil_div(c.out[0], 2)),
        across_(ceil_div(c.out[1], 2)),
        pitch_(2 * across_ + 2),
        filters_(c.groups * panels_ * kParts * c.channels * width() * sizeof(float)),
        bias_(c.groups * panels_ * width()) {
    std::vector<int64_t> sources;
    const int64_t wanted = kParts * c.channels * c.m <= kCachedFilters ? kTiles : kManyTiles;
    rows_ = std::clamp<int64_t>(wanted / across_, 1, down_);
    images_ = rows_ < down_ ? 1 : std::clamp<int64_t>(wanted / (down_ * across_), 1, c.batch);
    for (int64_t ch = 0; ch < c.channels; ++ch) sources.push_back(ch / lanes_ * tiles() * lanes_ + ch % lanes_);
    runs_ = runs_of(sources);
    transform_filters(filter);
    for (int64_t i = 0; bias && i < c.groups * c.m; ++i) bias_[i / c.m * panels_ * width() + i % c.m] = bias[i];
  }

  void run() const {
    const int64_t across_batch = ceil_div(c_.batch, images_), down = ceil_div(down_, rows_);
    const int64_t blocks = across_batch * c_.groups * down;
    const int64_t parts = std::clamp<int64_t>(ceil_div(num_threads(), blocks), 1, panels_);
    parallel_for(0, blocks * parts, 1, [&](int64_t begin, int64_t end) {
      const int64_t area = (2 * rows_ + 2) * pitch_ * lanes_;
      const Scratch source_memory(images_ * area * sizeof(float)),
          v_memory(kParts * blocks_ * tiles() * lanes_ * sizeof(float)),
          m_memory(kParts * tiles() * width() * sizeof(float)),
          out_memory((2 * 2 * across_ + lanes_) * width() * sizeof(float));
      std::fill_n(source_memory.as<float>(), images_ * area, 0.0f);  // the margins stay zero
      for (int64_t task = begin; task < end; ++task) {
        const int64_t block = task / parts, part = task % parts, group = block / down % c_.groups;
        const Block b{block / down / c_.groups * images_, group, block % down * rows_,
                      std::min(images_, c_.batch - block / down / c_.groups * images_),
                      std::min(rows_, down_ - block % down * rows_)};
        transform_images(b, source_memory.as<float>(), v_memory.as<float>());
        for (int64_t panel = panels_ * part / parts; panel < panels_ * (part + 1) / parts; ++panel) {
          multiply(b, panel, v_memory.as<float>(), m_memory.as<float>());
          write(b, panel, m_memory.as<float>(), out_memory.as<float>());
        }
      }
    });
  }

 private:
  struct Block {
    int64_t image, group, row;  // the first
    int64_t images, rows;
  };

  int64_t width() const { return panel_ * lanes_; }
  int64_t tiles() const { return images_ * rows_ * across_; }
  float* filter_of(int64_t group, int64_t panel) const {
    return filters_.as<float>() + (group * panels_ + panel) * kParts * c_.channels * width();
  }

  // [group][panel][part][channel][width]
  void transform_filters(const Filter<float>& f) const {
    const auto& g = gemm_table<float>();
    parallel_for(0, c_.groups * panels_, ceil_div(1 << 13, c_.channels * width()), [&](int64_t begin, int64_t end) {
      const Scratch packed((9 * c_.channels * width() + kTileSlack) * sizeof(float));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % panels_ * width(), n = std::min(width(), c_.m - first);
        const float* w = f.w + i / panels_ * f.group + first * f.row;
        const int64_t along = f.channel == 9 ? 9 * c_.channels : 9;  // numbers that follow one another in a row
        if (n < width()) std::fill_n(packed.as<float>(), 9 * c_.channels * width(), 0.0f);
        for (int64_t k = 0; k < 9 * c_.channels; k += along)
          g.pack_b[0](w + k / 9 * f.channel, 1, f.row, along, n, width(), packed.as<float>() + k * width());
        conv_table<float>().winograd_filter(packed.as<float>(), width(), c_.channels, c_.turned,
                                            filter_of(i / panels_, i % panels_), c_.channels * width());
      }
    });
  }

  // The block's part of the padded images, channels in lanes, and its tiles' transforms: [part][channels][tile][lane].
  void transform_images(const Block& b, float* source, float* v) const {
    const auto& g = conv_table<float>();
    const int64_t first = 2 * b.row - c_.padding[0], line = pitch_ * lanes_, rows = 2 * b.rows + 2;
    const int64_t begin = std::max<int64_t>(first, 0), end = std::min(first + rows, c_.in[0]);
    for (int64_t ch = 0; ch < blocks_; ++ch) {
      const int64_t channels = std::min(lanes_, c_.channels - ch * lanes_);
      for (int64_t i = 0; i < b.images; ++i) {
        float* padded = source + i * (2 * rows_ + 2) * line;
        const float* x = x_ + (b.image + i) * c_.from.image + (b.group * c_.channels + ch * lanes_) * c_.from.channel +
                         begin * c_.from.space[1];
        std::fill_n(padded, std::min(begin - first, rows) * line, 0.0f);
        std::fill(padded + std::max<int64_t>(end - first, 0) * line, padded + rows * line, 0.0f);
        float* to = padded + (begin - first) * line + c_.padding[1] * lanes_;
        if (c_.from.space[2] == 1) {
          g.to_lanes(x, c_.from.channel, channels, std::max<int64_t>(end - begin, 0) * c_.in[1], c_.in[1], pitch_, to);
        } else {
          for (int64_t h = begin; h < end; ++h, x += c_.from.space[1], to += line)
            for (int64_t w = 0; w < c_.in[1]; ++w)
              for (int64_t q = 0; q < lanes_; ++q)
                to[w * lanes_ + q] = q < channels ? x[w * c_.from.space[2] + q * c_.from.channel] : 0.0f;
        }
        for (int64_t r = 0; r < b.rows; ++r)
          g.winograd_input(padded + 2 * r * line, pitch_, across_,
                           v + (ch * tiles() + (i * b.rows + r) * across_) * lanes_, blocks_ * tiles() * lanes_);
      }
    }
  }

  // m[part][tile][width] = v[part][tile] x filters[part], a chain of fma over the channels each.
  void multiply(const Block& b, int64_t panel, const float* v, float* m) const {
    const auto& g = conv_table<float>();
    const int64_t count = b.images * b.rows * across_, most = std::min<int64_t>(kMaxConvColumns, g.sums / panel_);
    const int64_t columns = ceil_div(count, ceil_div(count, most));
    const std::vector<float> zeros(width());
    ConvTile<float> t;
    t.pitch = 0, t.bias = zeros.data();
    for (int64_t part = 0; part < kParts; ++part)
      for (int64_t first = 0; first < count; first += columns) {
        t.x = v + (part * blocks_ * tiles() + first) * lanes_, t.out = m + (part * tiles() + first) * width();
        for (size_t k = 0; k < runs_.size(); ++k) {
          t.runs = runs_[k].data(), t.run_count = static_cast<int64_t>(runs_[k].size()), t.add = k > 0;
          t.w = filter_of(b.group, panel) + (part * c_.channels + static_cast<int64_t>(k) * kGemmKc) * width();
          g.blocked[std::min(columns, count - first)][panel_](t);
        }
      }
  }

  void write(const Block& b, int64_t panel, const float* m, float* out) const {
    const auto& g = conv_table<float>();
    const int64_t first = panel * width(), n = std::min(width(), c_.m - first), row = 2 * across_ * width();
    for (int64_t i = 0; i < b.images; ++i)
      for (int64_t r = 0; r < b.rows; ++r) {
        g.winograd_output(m + (i * b.rows + r) * across_ * width(), tiles() * width(), width(), across_,
                          bias_.data() + b.group * panels_ * width() + first, out, out + row);
        float* y = y_ + (b.image + i) * c_.to.image + (b.group * c_.m + first) * c_.to.channel;
        for (int64_t h = 2 * (b.row + r); h < std::min(2 * (b.row + r) + 2, c_.out[0]); ++h) {
          const float* from = out + h % 2 * row;
          float* to = y + h * c_.to.space[1];
          if (c_.to.space[2] == 1) {
            g.planes[0](from, width(), c_.out[1], n, to, c_.to.channel);
          } else {
            for (int64_t w = 0; w < c_.out[1]; ++w)
              for (int64_t q = 0; q < n; ++q) to[w * c_.to.space[2] + q * c_.to.channel] = from[w * width() + q];
          }
        }
      }
  }

  const Winograd& c_;
  const float* x_;
  float* y_;
  int64_t lanes_, vectors_, panel_, panels_;  // registers of outputs; of them in a panel; panels
  int64_t blocks_;                            // registers of source channels
  int64_t down_, across_, pitch_;             // tiles of an image; pixels of a padded row
  int64_t rows_ = 1, images_ = 1;             // of tiles, of images: a block
  Scratch filters_;
  std::vector<float> bias_;
  std::vector<std::vector<Run>> runs_;
};

}  // namespace

bool winograd_fits(const Winograd& c) {
  const int64_t lanes = conv_table<float>().lanes;
  const int64_t tiles = ceil_div(c.out[0], 2) * ceil_div(c.out[1], 2);
  return c.channels >= lanes && c.m >= lanes && 5 * kParts * tiles < 4 * 9 * c.out[0] * c.out[1] &&
         std::min(c.padding[0], c.padding[1]) >= 0 && std::max(c.padding[0], c.padding[1]) <= 2;
}

void winograd(const Winograd& c, const float* x, const Filter<float>& filter, const float* bias, float* y) {
  Plan(c, x, filter, bias, y).run();
}

}  // namespace ember::cpu::conv
