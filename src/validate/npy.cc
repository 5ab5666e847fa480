#include "validate/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include "base/mapped_file.h"
#include "base/output_file.h"
#include "validate/bytes.h"
#include "validate/zip.h"

namespace smelt::parity {
namespace {

static_assert(std::endian::native == std::endian::little, "HostTensor's bytes are little-endian");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint64_t kMaxHeaderBytes = 64 * 1024;  // numpy itself reads 10,000

struct Header {
  std::string descr;
  bool is_fortran = false;
  std::vector<std::int64_t> shape;
};

/// Reads the one form of Python literal that a header has: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::uint64_t offset, const std::string& file, std::size_t max_rank)
      : text_(text), offset_(offset), file_(file), max_rank_(max_rank) {}

  Result<Header> parse() {
    Header header;
    unsigned seen = 0;
    SMELT_RETURN_IF_ERROR(expect('{'));
    while (!accept('}')) {
      std::string key;
      SMELT_RETURN_IF_ERROR(quoted(key));
      SMELT_RETURN_IF_ERROR(expect(':'));
      const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0) return malformed("a key is unknown or given twice");
      seen |= bit;
      SMELT_RETURN_IF_ERROR(bit == 1 ? descr(header) : bit == 2 ? fortran_order(header) : shape(header));
      if (accept(',')) continue;
      SMELT_RETURN_IF_ERROR(expect('}'));
      break;
    }
    skip_space();
    if (at_ != text_.size()) return malformed("something follows the closing brace");
    if (seen != 7) return malformed("it lacks one of the keys descr, fortran_order, shape");
    return header;
  }

 private:
  [[nodiscard]] Error malformed(std::string_view what) const {
    return error_at(file_, ErrorCode::kMalformedInput, offset_ + at_, fmt::format("the header is not numpy's: {}", what));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Status expect(char c) {
    if (accept(c)) return {};
    return malformed(fmt::format("expected '{}'", c));
  }

  Status quoted(std::string& out) {
    const char quote = accept('\'') ? '\'' : accept('"') ? '"' : '\0';
    if (quote == '\0') return malformed("expected a quoted word");
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return malformed("a quoted word has no end");
    out = text_.substr(at_, end - at_);
    if (out.find('\\') != std::string::npos) return malformed("a quoted word has an escape");
    at_ = end + 1;
    return {};
  }

  Status descr(Header& header) {
    if (accept('[')) {
      return error_at(file_, ErrorCode::kUnsupported, offset_ + at_, "the array is of a structured dtype")
          .hint("save one array for each field");
    }
    return quoted(header.descr);
  }

  Status fortran_order(Header& header) {
    header.is_fortran = accept_word("True");
    if (header.is_fortran || accept_word("False")) return {};
    return malformed("fortran_order is neither True nor False");
  }

  Status shape(Header& header) {
    SMELT_RETURN_IF_ERROR(expect('('));
    bool has_comma = true;
    while (!accept(')')) {
      if (!has_comma) return malformed("expected ',' or ')' in the shape");
      if (header.shape.size() == max_rank_) {
        return error_at(file_, ErrorCode::kLimitReached, offset_ + at_,
                        fmt::format("the array has more than {} axes, which is the limit", max_rank_));
      }
      skip_space();
      std::int64_t extent = 0;
      const auto [stop, code] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (code != std::errc() || extent < 0) return malformed("an extent is not a number from 0 to 2^63 - 1");
      at_ = static_cast<std::size_t>(stop - text_.data());
      static_cast<void>(accept('L'));  // as Python 2 wrote it
      header.shape.push_back(extent);
      has_comma = accept(',');
    }
    if (header.shape.size() == 1 && !has_comma) return malformed("the shape is not a tuple");
    return {};
  }

  std::string_view text_;
  std::uint64_t offset_;  ///< of the text, from the start of the file
  const std::string& file_;
  std::size_t max_rank_;
  std::size_t at_ = 0;
};

/// The letters are numpy's kind and bytes of an element; what is written for the dtypes that numpy lacks is wider.
struct DTypeRow {
  std::string_view code;
  DType dtype;
};
constexpr std::array<DTypeRow, 12> kDTypes{{{"f2", DType::kF16}, {"f4", DType::kF32}, {"f8", DType::kF64}, {"i1", DType::kI8},
                                            {"u1", DType::kU8}, {"i2", DType::kI16}, {"u2", DType::kU16}, {"i4", DType::kI32},
                                            {"u4", DType::kU32}, {"i8", DType::kI64}, {"u8", DType::kU64}, {"b1", DType::kBool}}};

struct Descr {
  DType dtype = DType::kF32;
  bool is_big_endian = false;
};

Result<Descr> parse_descr(std::string_view text, const std::string& file) {
  const char order = text.empty() ? '\0' : text[0];
  for (const DTypeRow& row : kDTypes) {
    if (text.empty() || text.substr(1) != row.code) continue;
    if (order != '<' && order != '>' && (order != '|' || bits(row.dtype) != 8)) break;
    return Descr{.dtype = row.dtype, .is_big_endian = order == '>'};
  }
  return Error(ErrorCode::kUnsupported, fmt::format("arrays of numpy dtype \"{}\" are not read", text.substr(0, 64)))
      .at({.file = file})
      .hint("save it as float16 to float64, as an integer of 8 to 64 bits, or as bool");
}

/// Where the parts of an .npy file are.
struct Layout {
  std::uint64_t header_offset = 0;
  std::uint64_t header_size = 0;
};

Result<Layout> read_layout(Bytes bytes, const std::string& file) {
  if (!text_of(bytes).starts_with(kMagic.substr(0, bytes.size()))) {
    return error_at(file, ErrorCode::kNotThisFormat, 0, "the bytes are not those of a numpy array (.npy)");
  }
  const auto truncated = [&](std::uint64_t needed) {
    return error_at(file, ErrorCode::kTruncatedInput, bytes.size(),
                    fmt::format("an .npy file needs {} bytes up to the end of its header, there are {}", needed, bytes.size()));
  };
  if (bytes.size() < 10) return truncated(10);
  const auto major = number_at(bytes, 6, 1);
  const auto minor = number_at(bytes, 7, 1);
  if (major < 1 || major > 3 || minor != 0) {
    return error_at(file, ErrorCode::kUnsupported, 6, fmt::format("the .npy version is {}.{}, known are 1.0 to 3.0", major, minor));
  }
  const std::size_t width = major == 1 ? 2 : 4;
  if (bytes.size() < 8 + width) return truncated(8 + width);
  const Layout layout{.header_offset = 8 + width, .header_size = number_at(bytes, 8, width)};
  if (layout.header_size > kMaxHeaderBytes) {
    return error_at(file, ErrorCode::kLimitReached, 8,
                    fmt::format("the header has {} bytes, the limit is {}", layout.header_size, kMaxHeaderBytes));
  }
  if (layout.header_size > bytes.size() - layout.header_offset) return truncated(layout.header_offset + layout.header_size);
  return layout;
}

/// Copies column-major elements in row-major order.
void transpose(Bytes from, std::span<const std::int64_t> shape, std::size_t width, std::vector<std::byte>& to) {
  std::vector<std::uint64_t> strides;
  std::uint64_t stride = width;
  for (const std::int64_t extent : shape) {
    strides.push_back(stride);
    stride *= static_cast<std::uint64_t>(extent);
  }
  std::vector<std::int64_t> index(shape.size(), 0);
  std::uint64_t source = 0;
  for (std::size_t at = 0; at < to.size(); at += width) {
    std::memcpy(to.data() + at, from.data() + source, width);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      source += strides[axis];
      if (++index[axis] < shape[axis]) break;
      source -= strides[axis] * static_cast<std::uint64_t>(shape[axis]);
      index[axis] = 0;
    }
  }
}

/// The elements, brought into HostTensor's order.
Result<std::vector<std::byte>> read_elements(Bytes data, const Header& header, const Descr& descr, const std::string& file) {
  const std::size_t width = bits(descr.dtype) / 8;
  std::vector<std::byte> out(data.size());
  if (header.is_fortran && !data.empty()) {
    transpose(data, header.shape, width, out);
  } else {
    std::ranges::copy(data, out.begin());
  }
  if (descr.is_big_endian) {
    for (auto element = out.begin(); element != out.end(); element += static_cast<std::ptrdiff_t>(width)) {
      std::reverse(element, element + static_cast<std::ptrdiff_t>(width));
    }
  }
  if (descr.dtype == DType::kBool && std::ranges::any_of(out, [](std::byte b) { return b > std::byte{1}; })) {
    return Error(ErrorCode::kMalformedInput, "a bool is neither 0 nor 1").at({.file = file});
  }
  return out;
}

Result<HostTensor> read_entry(const Zip& zip, const ZipEntry& entry, const std::string& file, const NpyLimits& limits) {
  SMELT_ASSIGN_OR_RETURN(Bytes bytes, zip.packed(entry));
  if (entry.unpacked > kMaxHeaderBytes && entry.unpacked - kMaxHeaderBytes > limits.max_bytes) {
    return Error(ErrorCode::kLimitReached, fmt::format("an array has {} bytes, the limit leaves {}", entry.unpacked, limits.max_bytes))
        .at({.file = file});
  }
  std::vector<std::byte> unpacked;
  if (entry.method == kDeflated) {
    SMELT_ASSIGN_OR_RETURN(unpacked, inflate_all(bytes, entry.unpacked, file));
    bytes = unpacked;
  } else if (entry.packed != entry.unpacked) {
    return Error(ErrorCode::kMalformedInput, fmt::format("a stored array has {} bytes, and {} unpacked", entry.packed, entry.unpacked))
        .at({.file = file});
  }
  const std::uint64_t crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  if (crc != entry.crc) {
    return Error(ErrorCode::kMalformedInput, fmt::format("the CRC-32 is {:08x}, the archive says {:08x}", crc, entry.crc))
        .at({.file = file})
        .hint("the file is damaged");
  }
  return parse_npy(bytes, file, limits);
}

void append_number(std::vector<std::byte>& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
}

void append_text(std::vector<std::byte>& out, std::string_view text) {
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
}

/// The tensor in the nearest wider dtype that numpy has, all values kept.
HostTensor as_numpy_has_it(const HostTensor& tensor) {
  if (tensor.dtype == DType::kBF16) {
    HostTensor out{.dtype = DType::kF32, .shape = tensor.shape, .bytes = std::vector<std::byte>(tensor.bytes.size() * 2)};
    for (std::size_t i = 0; i < tensor.bytes.size(); ++i) out.bytes[i / 2 * 4 + 2 + i % 2] = tensor.bytes[i];
    return out;
  }
  HostTensor out{.dtype = tensor.dtype == DType::kI4 ? DType::kI8 : DType::kU8, .shape = tensor.shape, .bytes = {}};
  for (const double value : to_doubles(tensor)) out.bytes.push_back(static_cast<std::byte>(static_cast<int>(value)));
  return out;
}

/// The fields that local headers and directory records share, from the version needed to the size of the name.
void append_zip_fields(std::vector<std::byte>& out, const std::string& name, std::uint64_t crc, std::uint64_t size) {
  const bool is_ascii = std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  append_number(out, 20, 2);
  append_number(out, is_ascii ? 0 : 0x0800, 2);
  append_number(out, kStored, 2);
  append_number(out, 0, 4);  // time and date
  append_number(out, crc, 4);
  append_number(out, size, 4);
  append_number(out, size, 4);
  append_number(out, name.size(), 2);
}

Status check_names(std::span<const NpyEntry> entries) {
  std::set<std::string_view> names;
  for (const NpyEntry& entry : entries) {
    if (entry.name.empty() || entry.name.size() > 4096 || !names.insert(entry.name).second) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("an array name of {} bytes, \"{}\", is empty, too long or given twice", entry.name.size(),
                               entry.name.substr(0, 64)));
    }
  }
  return {};
}

}  // namespace

Result<HostTensor> parse_npy(std::span<const std::byte> bytes, const std::string& file, const NpyLimits& limits) {
  SMELT_ASSIGN_OR_RETURN(const Layout layout, read_layout(bytes, file));
  const std::string_view text = text_of(bytes.subspan(layout.header_offset, layout.header_size));
  SMELT_ASSIGN_OR_RETURN(const Header header, HeaderParser(text, layout.header_offset, file, limits.max_rank).parse());
  SMELT_ASSIGN_OR_RETURN(const Descr descr, parse_descr(header.descr, file));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t count, element_count(header.shape));
  SMELT_ASSIGN_OR_RETURN(const std::uint64_t size, packed_bytes(descr.dtype, static_cast<std::uint64_t>(count)));
  const std::uint64_t offset = layout.header_offset + layout.header_size;
  const Bytes data = bytes.subspan(offset);
  if (size > limits.max_bytes) {
    return error_at(file, ErrorCode::kLimitReached, offset,
                    fmt::format("an array of {} has {} bytes, the limit leaves {}", type_text(descr.dtype, header.shape), size,
                                limits.max_bytes));
  }
  if (data.size() != size) {
    return error_at(file, data.size() < size ? ErrorCode::kTruncatedInput : ErrorCode::kMalformedInput, offset,
                    fmt::format("an array of {} needs {} bytes, there are {}", type_text(descr.dtype, header.shape), size,
                                data.size()));
  }
  SMELT_ASSIGN_OR_RETURN(std::vector<std::byte> elements, read_elements(data, header, descr, file));
  return HostTensor{.dtype = descr.dtype, .shape = header.shape, .bytes = std::move(elements)};
}

Result<std::vector<NpyEntry>> read_npz(const std::filesystem::path& path, const NpyLimits& limits) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  const std::string file = path.string();
  Zip zip(mapped.bytes(), file);
  SMELT_ASSIGN_OR_RETURN(const std::vector<ZipEntry> zip_entries, zip.entries(limits.max_entries));
  std::vector<NpyEntry> arrays;
  std::set<std::string_view> names;
  NpyLimits left = limits;  // the bytes of an array bound those of all arrays too: a small archive cannot ask for more
  for (const ZipEntry& entry : zip_entries) {
    constexpr std::string_view kSuffix = ".npy";
    if (!std::string_view(entry.name).ends_with(kSuffix)) continue;
    if (!names.insert(entry.name).second) {
      return error_at(file, ErrorCode::kMalformedInput, entry.offset, "an array is in the archive twice");
    }
    SMELT_ASSIGN_OR_RETURN(HostTensor tensor, read_entry(zip, entry, fmt::format("{}({})", file, entry.name), left));
    left.max_bytes -= tensor.bytes.size();
    arrays.push_back({.name = entry.name.substr(0, entry.name.size() - kSuffix.size()), .tensor = std::move(tensor)});
  }
  return arrays;
}

Result<HostTensor> read_npy(const std::filesystem::path& path, const NpyLimits& limits) {
  SMELT_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  return parse_npy(mapped.bytes(), path.string(), limits);
}

std::vector<std::byte> format_npy(const HostTensor& tensor) {
  const auto* const row = std::ranges::find(kDTypes, tensor.dtype, &DTypeRow::dtype);
  if (row == kDTypes.end()) return format_npy(as_numpy_has_it(tensor));
  const char order = bits(tensor.dtype) == 8 ? '|' : '<';
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}", order, row->code,
                                   fmt::join(tensor.shape, ", "), tensor.shape.size() == 1 ? "," : "");
  header.append(63 - (10 + header.size()) % 64, ' ');  // the elements begin at a multiple of 64
  header += '\n';
  SMELT_CHECK(header.size() <= 0xffff);
  std::vector<std::byte> out;
  out.reserve(10 + header.size() + tensor.bytes.size());
  append_text(out, kMagic);
  append_number(out, 1, 2);  // version 1.0
  append_number(out, header.size(), 2);
  append_text(out, header);
  out.insert(out.end(), tensor.bytes.begin(), tensor.bytes.end());
  return out;
}

Status write_npz(const std::filesystem::path& path, std::span<const NpyEntry> entries) {
  SMELT_RETURN_IF_ERROR(check_names(entries));
  SMELT_ASSIGN_OR_RETURN(OutputFile output, OutputFile::create(path, OutputFile::IfExists::kFail));
  std::vector<std::byte> directory;
  std::uint64_t offset = 0;
  const auto too_large = [&] {
    return Error(ErrorCode::kLimitReached, fmt::format("the archive has {} arrays, with {} bytes or more; the limits are 65534 and 2^32 - 2",
                                                       entries.size(), offset + directory.size()))
        .at({.file = path.string()});
  };
  for (const NpyEntry& entry : entries) {
    const std::vector<std::byte> array = format_npy(entry.tensor);
    const std::string name = entry.name + ".npy";
    const std::uint64_t crc = crc32_z(0, reinterpret_cast<const Bytef*>(array.data()), array.size());
    append_number(directory, kCentralSignature, 4);
    append_number(directory, 20, 2);  // made by version 2.0, for MS-DOS: no permissions
    append_zip_fields(directory, name, crc, array.size());
    append_number(directory, 0, 8);  // no extra field, comment, other disk or attributes
    append_number(directory, 0, 4);
    append_number(directory, offset, 4);
    append_text(directory, name);
    std::vector<std::byte> local;
    append_number(local, kLocalSignature, 4);
    append_zip_fields(local, name, crc, array.size());
    append_number(local, 0, 2);
    append_text(local, name);
    offset += local.size() + array.size();
    if (entries.size() >= 0xffff || offset + directory.size() >= kIn64) return too_large();
    SMELT_RETURN_IF_ERROR(output.write(local));
    SMELT_RETURN_IF_ERROR(output.write(array));
  }
  std::vector<std::byte> end;
  append_number(end, kEndSignature, 4);
  append_number(end, 0, 4);
  append_number(end, entries.size(), 2);
  append_number(end, entries.size(), 2);
  append_number(end, directory.size(), 4);
  append_number(end, offset, 4);
  append_number(end, 0, 2);
  SMELT_RETURN_IF_ERROR(output.write(directory));
  SMELT_RETURN_IF_ERROR(output.write(end));
  return output.commit();
}

}  // namespace smelt::parity
