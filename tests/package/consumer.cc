// A program outside smelt's tree: prints the number of nodes of a model.
#include <cstdio>

#include <smelt/inspect.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const smelt::Result<smelt::InspectReport> report = smelt::inspect(argv[1]);
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.error().to_string().c_str());
    return 1;
  }
  std::printf("%llu nodes\n", static_cast<unsigned long long>(report->nodes));
  return 0;
}
