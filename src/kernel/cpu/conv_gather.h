// Gather: the product that convolution forward and to the data both are. k runs over (source channel, tap); a position
// of the output grid reads the padded images at its own place plus an offset for each k. What lies in a register's
// lanes depends on the number of output channels: the channels themselves, or, where they are few, neighbouring
// positions, which then walk the image's pitch (a few of them are garbage between rows, and dropped). Internal to
// conv.cc.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "kernel/cpu/conv_pad.h"
#include "kernel/cpu/conv_tiles.h"
#include "kernel/cpu/float_types.h"
#include "kernel/cpu/gemm_tiles.h"

namespace ember::cpu::conv {

// Where the weights lie: of group g, output r, source channel c and tap t at w[g * group + r * row + c * channel +
// taps[t]].
template <class S>
struct Filter {
  const S* w;
  int64_t group, row, channel;
  std::vector<int64_t> taps;
};

// Neighbouring offsets in arithmetic progression, as runs; none goes over a K block's end.
inline std::vector<std::vector<Run>> runs_of(const std::vector<int64_t>& offsets) {
  std::vector<std::vector<Run>> blocks(1);
  for (size_t k = 0; k < offsets.size(); ++k) {
    if (k && k % kGemmKc == 0) blocks.emplace_back();
    auto& runs = blocks.back();
    if (!runs.empty()) {
      Run& last = runs.back();
      const int64_t step = offsets[k] - offsets[k - 1];
      if (last.n == 1 || last.step == step) {
        last.step = step, ++last.n;
        continue;
      }
    }
    runs.push_back({offsets[k], 1, 0});
  }
  return blocks;
}

template <class S, class T>
class Gather {
 public:
  // Geometry: `q` the pitch of a padded plane, `grid` the output positions in it, `shifts` each tap's offset; out is
  // written at `to`, per grid step. bias: [groups * m] or null.
  Gather(const Filter<S>& filter, int64_t groups, int64_t m, int64_t channels, const std::vector<int64_t>& shifts,
         const Padded& p, const int64_t* grid, const T* bias, S* out, const Strides& to)
      : groups_(groups),
        m_(m),
        k_(channels * static_cast<int64_t>(shifts.size())),
        source_group_(channels * p.plane()),
        q_{p.q[0], p.q[1], p.q[2]},
        grid_{grid[0], grid[1], grid[2]},
        bias_(bias),
        out_(out),
        to_(to),
        vectors_(ceil_div(m, conv_table<T>().lanes)),
        weights_((groups * k_ * std::max(m, vectors_ * conv_table<T>().lanes) + kTileSlack) * sizeof(T)) {
    if (volume(grid_) == 0 || m == 0) return;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t s : shifts) offsets_.push_back(c * p.plane() + s);
    if (lanes_are_channels()) {
      runs_ = runs_of(offsets_);
      choose_tile();
      pack_lanes(filter, channels);
    } else {
      pack_rows(filter, channels);
    }
  }

  // From padded images [image][group][channel][plane], the first of them being image `first` of the batch.
  void operator()(const T* source, int64_t first, int64_t images) const {
    if (volume(grid_) == 0 || m_ == 0) return;
    if (lanes_are_channels()) over_channels(source, first, images);
    else if (m_ == 1) one_channel(source, first, images);
    else over_positions(source, first, images);
  }

 private:
  bool lanes_are_channels() const { return 2 * m_ > conv_table<T>().lanes; }
  T* weights() const { return weights_.template as<T>(); }
  S* plane_of(int64_t image, int64_t group) const { return out_ + image * to_.image + group * m_ * to_.channel; }

  // ---- lanes are channels ----

  struct Panel {
    int64_t first, n;  // registers of channels
  };

  // The tile that spends the fewest fma slots on the grid; a few cycles a step of k are a tile's own.
  void choose_tile() {
    const auto& g = conv_table<T>();
    int64_t least = INT64_MAX;
    for (int64_t n : {1, 2, 4})
      for (int64_t rows : {1, 2}) {
        if (n > vectors_ || rows > grid_[1] || rows * n > g.sums) continue;
        const int64_t most = std::min<int64_t>(kMaxConvColumns / rows, g.sums / (rows * n));
        const int64_t columns = ceil_div(grid_[2], ceil_div(grid_[2], most));
        const int64_t cost =
            ceil_div(grid_[1], rows) * ceil_div(grid_[2], columns) * ceil_div(vectors_, n) * (rows * columns * n + 3);
        if (cost < least) least = cost, rows_ = rows, columns_ = columns, panel_ = n;
      }
    for (int64_t v = 0, n; v < vectors_; v += n) {
      for (n = panel_; n > vectors_ - v;) n /= 2;
      panels_.push_back({v, n});
    }
  }

  // Panel after panel, each [k][registers * lanes].
  void pack_lanes(const Filter<S>& f, int64_t channels) {
    const auto& g = gemm_table<T>();
    const int64_t lanes = g.lanes, taps = static_cast<int64_t>(f.taps.size()), count = panels_.size();
    int64_t along = 1;  // k that follow one another in the filter
    if (taps && f.taps.back() - f.taps[0] == taps - 1 && std::is_sorted(f.taps.begin(), f.taps.end()))
      along = f.channel == taps ? k_ : taps;
    parallel_for(0, groups_ * count, ceil_div(1 << 15, k_ * panel_ * lanes + 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / count, first = panels_[i % count].first * lanes;
        const int64_t width = panels_[i % count].n * lanes, n = std::min(width, m_ - first);
        T* out = weights() + group * k_ * vectors_ * lanes + first * k_;
        const S* w = f.w + group * f.group + first * f.row;
        for (int64_t k = 0; k < k_; k += along)
          g.pack_b[kKind<S>](w + k / std::max<int64_t>(taps, 1) * f.channel + f.taps[k % taps], 1, f.row, along, n,
                             width, out + k * width);
      }
    });
    biases_.assign(groups_ * vectors_ * lanes, T(0));
    for (int64_t i = 0; bias_ && i < groups_ * m_; ++i) biases_[i / m_ * vectors_ * lanes + i % m_] = bias_[i];
  }

  // Rows [begin, end) of depth d of one image and group, through `count` panels.
  void channel_block(const T* source, S* out, int64_t group, int64_t d, int64_t begin, int64_t end, const Panel* panels,
                     int64_t count) const {
    const auto& g = conv_table<T>();
    alignas(64) T sums[(28 + 16 * kMaxConvVectors) * 16];
    ConvTile<T> t;
    t.pitch = q_[2], t.out = sums;
    for (const Panel* panel = panels; panel < panels + count; ++panel) {
      const int64_t first = panel->first * g.lanes, width = panel->n * g.lanes, n = std::min(width, m_ - first);
      const T* weight = weights() + group * k_ * vectors_ * g.lanes + first * k_;
      t.bias = biases_.data() + group * vectors_ * g.lanes + first;
      for (int64_t h = begin, rows; h < end; h += rows) {
        rows = std::min(rows_, end - h);
        for (int64_t w = 0; w < grid_[2]; w += columns_) {
          const int64_t columns = std::min(columns_, grid_[2] - w);
          t.x = source + (d * q_[1] + h) * q_[2] + w;
          for (size_t k = 0; k < runs_.size(); ++k) {
            t.runs = runs_[k].data(), t.run_count = static_cast<int64_t>(runs_[k].size());
            t.w = weight + static_cast<int64_t>(k) * kGemmKc * width, t.add = k > 0;
            g.tile[rows][columns][panel->n](t);
          }
          for (int64_t r = 0; r < rows; ++r)
            put(sums + r * columns * width, width, columns, n,
                out + first * to_.channel + d * to_.space[0] + (h + r) * to_.space[1] + w * to_.space[2]);
        }
      }
    }
  }

  void put(const T* sums, int64_t pitch, int64_t positions, int64_t channels, S* y) const {
    if (to_.space[2] == 1) return conv_table<T>().planes[kKind<S>](sums, pitch, positions, channels, y, to_.channel);
    for (int64_t i = 0; i < positions; ++i)
      for (int64_t r = 0; r < channels; ++r) narrow(sums[i * pitch + r], y[i * to_.space[2] + r * to_.channel]);
  }

  // A task is a block of rows whose sources stay in cache while the panels pass; where that leaves threads idle, rows
  // and panels are cut further.
  void over_channels(const T* source, int64_t first, int64_t images) const {
    const int64_t count = panels_.size(), wanted = 4 * num_threads(), pairs = images * groups_ * grid_[0];
    int64_t rows = std::clamp<int64_t>(kSlab / (k_ * q_[2] / 4 + 1), 4, grid_[1]), panels = count;
    while (pairs * ceil_div(grid_[1], rows) * ceil_div(count, panels) < wanted &&
           std::min(rows, grid_[1]) * grid_[2] * panels * conv_table<T>().lanes * k_ > kTaskWork) {
      if (panels > 1 && panels * 8 > rows) panels = ceil_div(panels, 2);
      else if (rows > 2) rows = ceil_div(rows, 4) * 2;
      else break;
    }
    const int64_t blocks = ceil_div(grid_[1], rows), parts = ceil_div(count, panels);
    const int64_t work = rows * grid_[2] * panels * panel_ * conv_table<T>().lanes * k_;
    parallel_for(0, pairs * blocks * parts, ceil_div(kTaskWork, work + 1), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t part = task % parts * panels, h = task / parts % blocks * rows, d = task / parts / blocks;
        const int64_t group = d / grid_[0] % groups_, image = d / grid_[0] / groups_;
        channel_block(source + (image * groups_ + group) * source_group_, plane_of(first + image, group), group,
                      d % grid_[0], h, std::min(h + rows, grid_[1]), panels_.data() + part,
                      std::min(panels, count - part));
      }
    });
  }

  // ---- lanes are positions ----

  // [group][k blocks][panels], as GEMM packs its rows; a single row is itself.
  void pack_rows(const Filter<S>& f, int64_t channels) {
    const auto& g = gemm_table<T>();
    const int64_t taps = static_cast<int64_t>(f.taps.size());
    const Scratch rows_memory(m_ == 1 ? 0 : m_ * k_ * sizeof(T));
    for (int64_t group = 0; group < groups_; ++group) {
      T* to = weights() + group * m_ * k_;
      T* rows = m_ == 1 ? to : rows_memory.as<T>();
      for (int64_t r = 0; r < m_; ++r)
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t t = 0; t < taps; ++t)
            rows[(r * channels + c) * taps + t] = wide(f.w[group * f.group + r * f.row + c * f.channel + f.taps[t]]);
      for (int64_t p = 0; m_ > 1 && p < k_; p += kGemmKc)
        g.pack_a[0](rows + p, k_, 1, m_, std::min(kGemmKc, k_ - p), to + p * m_);
    }
  }

  // One output channel a group: row by row, straight into the result where it has the right type and stride.
  void one_channel(const T* source, int64_t first, int64_t images) const {
    const auto& g = conv_table<T>();
    const int64_t lines = grid_[0] * grid_[1];
    const bool straight = std::is_same_v<S, T> && to_.space[2] == 1;
    const int64_t grain = ceil_div(kTaskWork / 4, k_ * grid_[2] + 1);
    parallel_for(0, images * groups_ * lines, grain, [&](int64_t begin, int64_t end) {
      const Scratch memory(straight ? 0 : (grid_[2] + kTileSlack) * sizeof(T));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t pair = i / lines, group = pair % groups_, d = i % lines / grid_[1], h = i % lines % grid_[1];
        S* y = plane_of(first + pair / groups_, group) + d * to_.space[0] + h * to_.space[1];
        T* row = straight ? reinterpret_cast<T*>(y) : memory.as<T>();
        g.taps(source + pair * source_group_ + (d * q_[1] + h) * q_[2], offsets_.data(), weights() + group * k_, k_,
               bias_ ? bias_[group] : T(0), grid_[2], row);
        for (int64_t w = 0; !straight && w < grid_[2]; ++w) narrow(row[w], y[w * to_.space[2]]);
      }
    });
  }

  void write_out(const T* c, int64_t ldc, int64_t begin, int64_t end, S* out) const {
    for (int64_t at = begin, run; at < end; at += run) {
      const int64_t w = at % q_[2], h = at / q_[2] % q_[1], d = at / q_[2] / q_[1];
      run = std::min(end - at, q_[2] - w);
      const int64_t n = h < grid_[1] ? std::min(run, grid_[2] - w) : 0;
      if (n <= 0) continue;
      const T* from = c + (at - begin);
      S* y = out + d * to_.space[0] + h * to_.space[1] + w * to_.space[2];
      if (to_.channel == 1) {
        for (int64_t i = 0; i < n; ++i)
          for (int64_t r = 0; r < m_; ++r) narrow(from[r * ldc + i], y[i * to_.space[2] + r]);
      } else if (std::is_same_v<S, T> && to_.space[2] == 1) {
        for (int64_t r = 0; r < m_; ++r) copy_row(from + r * ldc, n, reinterpret_cast<T*>(y) + r * to_.channel);
      } else {
        for (int64_t r = 0; r < m_; ++r)
          for (int64_t i = 0; i < n; ++i) narrow(from[r * ldc + i], y[r * to_.channel + i * to_.space[2]]);
      }
    }
  }

  // One group of one image over positions [begin, end) of the pitch.
  void position_piece(const T* source, int64_t group, int64_t begin, int64_t end, int64_t nr, T* c, int64_t ldc) const {
    const auto& g = gemm_table<T>();
    Tile<T> t;
    t.lda = m_, t.ldb = 0, t.ldc = ldc, t.alpha = 1, t.beta = 1;
    const T* a = weights() + group * m_ * k_;
    for (int64_t p = 0; p == 0 || p < k_; p += kGemmKc) {  // no taps (k = 0) still writes the bias
      t.k = std::min(kGemmKc, k_ - p), t.offsets = offsets_.data() + p;
      t.add = p ? TileAdd::kC : bias_ ? TileAdd::kRowBias : TileAdd::kNone;
      for (int64_t j = begin; j < end; j += nr) {
        t.columns = std::min(nr, end - j), t.b = source + j;
        t.a = a + p * m_, t.c = c + (j - begin), t.bias = bias_ ? bias_ + group * m_ : nullptr;
        g.tile[m_][ceil_div(t.columns, g.lanes)](t);
      }
    }
  }

  void over_positions(const T* source, int64_t first, int64_t images) const {
    const auto& g = gemm_table<T>();
    const int64_t nr = int64_t{g.lanes} * (m_ <= g.thin_rows ? kMaxTileVectors : g.vectors);
    const int64_t positions = ((grid_[0] - 1) * q_[1] + grid_[1] - 1) * q_[2] + grid_[2];
    // A piece's block of C stays in cache. Its pitch is kept off powers of two, whose rows would fall into one set.
    int64_t piece = std::max(nr, std::min<int64_t>((1 << 14) / m_, ceil_div(kTaskWork, m_ * k_ + 1) * 2) / nr * nr);
    piece = ceil_div(ceil_div(positions, ceil_div(positions, piece)), nr) * nr;
    const int64_t pitch = piece + (piece % 256 ? 0 : 16), pieces = ceil_div(positions, piece);
    const int64_t grain = std::max<int64_t>(1, kTaskWork / (m_ * k_ * std::min(piece, positions) + 1));
    parallel_for(0, images * groups_ * pieces, grain, [&](int64_t b, int64_t e) {
      const Scratch memory((m_ * pitch + kTileSlack) * sizeof(T));
      for (int64_t task = b; task < e; ++task) {
        const int64_t pair = task / pieces, group = pair % groups_;
        const int64_t begin = task % pieces * piece, end = std::min(positions, begin + piece);
        position_piece(source + pair * source_group_, group, begin, end, nr, memory.as<T>(), pitch);
        write_out(memory.as<T>(), pitch, begin, end, plane_of(first + pair / groups_, group));
      }
    });
  }

  static constexpr int64_t kSlab = 1 << 16;  // elements of sources that stay in cache

  int64_t groups_, m_, k_, source_group_;
  int64_t q_[3], grid_[3];
  const T* bias_;
  S* out_;
  Strides to_;
  int64_t vectors_;
  Scratch weights_;  // packed
  std::vector<int64_t> offsets_;
  std::vector<std::vector<Run>> runs_;  // [K block]
  std::vector<T> biases_;
  std::vector<Panel> panels_;
  int64_t rows_ = 1, columns_ = 1, panel_ = 1;
};

}  // namespace ember::cpu::conv
