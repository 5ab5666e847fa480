#include "target.h"

#include <cstdlib>
#include <fstream>
#include <system_error>

#include "smelt/result.h"

namespace smelt::fuzz {

ScratchFolder::ScratchFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "smelt-fuzz-XXXXXX").string();
  SMELT_CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ScratchFolder::write(const std::filesystem::path& relative, std::span<const std::byte> bytes) const {
  const std::filesystem::path path = path_ / relative;
  std::ofstream file(path, std::ios::binary);
  if (!file) {
    std::filesystem::create_directories(path.parent_path());
    file.open(path, std::ios::binary);
  }
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  SMELT_CHECK(file.good());
}

void load_constants(const ir::Graph& graph) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 20;
  for (std::size_t k = 0; k < graph.value_count(); ++k) {
    const ConstantRef& constant = graph.value({static_cast<std::uint32_t>(k)}).constant;
    if (constant == nullptr || byte_count(*constant) > kMost) continue;
    const Result<HostTensor> loaded = load(*constant);
    SMELT_CHECK(!loaded.ok() || loaded->bytes.size() == byte_count(*constant));
  }
}

}  // namespace smelt::fuzz
