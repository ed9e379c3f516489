// Ember for C++ programs, in one include: tensors, ops, autograd, modules, optimizers, data loading and files.
//   find_package(Ember REQUIRED)
//   target_link_libraries(program PRIVATE Ember::ember)
// Names, defaults, random numbers and checkpoints are those of the Python package.
#pragma once

#include "base/parallel.h"
#include "data/data.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "nn/activation.h"
#include "nn/attention.h"
#include "nn/container.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "nn/module.h"
#include "op/ops.h"
#include "optim/optim.h"
#include "tensor/generator.h"
#include "transform/function.h"
#include "transform/grad.h"

namespace ember {

// Seeds the default generator.
inline void manual_seed(uint64_t seed) { default_generator()->manual_seed(seed); }

}  // namespace ember
