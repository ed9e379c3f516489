// Grads: what a vjp reads and writes.
// An op's `static void vjp(Grads& d, <the op's own parameters>)` gets its forward arguments again (those not saved as
// shapes without data), the incoming gradients d.g(i), the saved results d.y(i), and sets d.set(i, gradient of
// argument i) by ordinary ops, which makes it differentiable again.
#pragma once

#include "op/op.h"

namespace ember {

class EMBER_API Grads {
 public:
  virtual ~Grads() = default;
  // The gradient that came for result i; zeros of its shape when none came (ask has_g first to spare the work).
  virtual Tensor g(int i = 0) = 0;
  virtual bool has_g(int i) = 0;
  virtual Tensor y(int i = 0) = 0;                                  // result i, if saved
  virtual bool wants(int arg, int element = 0) = 0;                 // is the gradient of this argument asked for?
  virtual void set(int arg, Tensor gradient, int element = 0) = 0;  // element: within a Tensor[] argument
};

}  // namespace ember
