// Runs the registered C++ tests; `ember_tests PART` runs those whose name holds PART.
#include <cstdio>
#include <cstring>

#include "check.h"

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (const auto& c : ember::test::cases()) {
    if (argc > 1 && !std::strstr(c.name, argv[1])) continue;
    try {
      c.run();
      ++passed;
    } catch (const std::exception& e) {
      ++failed;
      std::printf("FAILED %s\n  %s\n", c.name, e.what());
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
