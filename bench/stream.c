// The memory's own rate, to hold a framework's add against: c = a + b over floats in DRAM, every thread on its part,
// with stores that bypass the cache (no read for ownership) and with plain ones; prints the better, in bytes a second,
// counting two reads and one write an element. Usage: stream COUNT THREADS. Knows nothing of Ember.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

typedef float Block __attribute__((vector_size(64), aligned(64)));

static double once(const Block* a, const Block* b, Block* c, long blocks, int bypass) {
  double start = omp_get_wtime();
#pragma omp parallel for schedule(static)
  for (long i = 0; i < blocks; ++i) {
    Block sum = a[i] + b[i];
#if defined(__AVX512F__)
    if (bypass) {
      __builtin_ia32_movntps512((float*)(c + i), sum);
      continue;
    }
#elif defined(__AVX__)
    if (bypass) {
      typedef float Half __attribute__((vector_size(32)));
      const Half* half = (const Half*)&sum;
      __builtin_ia32_movntps256((float*)(c + i), half[0]);
      __builtin_ia32_movntps256((float*)(c + i) + 8, half[1]);
      continue;
    }
#endif
    c[i] = sum;
  }
  return omp_get_wtime() - start;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  long blocks = atol(argv[1]) / 16;
  omp_set_num_threads(atoi(argv[2]));
  Block* memory[3];
  for (int k = 0; k < 3; ++k) {
    memory[k] = aligned_alloc(1 << 21, ((blocks * sizeof(Block) >> 21) + 1) << 21);
    if (!memory[k]) return 1;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < blocks; ++i) memory[k][i] = (Block){0} + (float)k;
  }
  double best = 1e9;
  for (int turn = 0; turn < 30; ++turn) {
    double seconds = once(memory[0], memory[1], memory[2], blocks, turn % 2);
    if (seconds < best) best = seconds;
  }
  printf("%.6g\n", 3.0 * blocks * sizeof(Block) / best);
  return 0;
}
