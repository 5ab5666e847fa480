#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "convert/coreml/lowering.h"
#include "convert/coreml/package.h"
#include "base/mapped_file.h"

namespace smelt::coreml_format {

/// Turns values of a package into constants whose bytes stay in its weight files.
class BlobReader {
 public:
  explicit BlobReader(PackageFiles package) : package_(std::move(package)) {}
  /// Checks the record against the type: element type, element count. Errors of `read_record`, `resolve_blob_file`.
  [[nodiscard]] Result<ConstantRef> read(const MilValue& value);

 private:
  PackageFiles package_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

/// What the program's names stand for so far.
struct LiftScope {
  ir::Graph graph{"main"};
  std::map<std::string, ir::ValueId> values;       ///< computed, inputs, and constants already used as operands
  std::map<std::string, const MilValue*> constants;  ///< const operations not yet used as operands
};

/// What the lift of one operation sees and does. The inverse of LowerContext.
class LiftContext {
 public:
  LiftContext(const MilOperation& operation, LiftScope& scope, BlobReader& blobs, Target target)
      : operation_(operation), scope_(scope), blobs_(blobs), target_(target) {}

  [[nodiscard]] const MilOperation& operation() const { return operation_; }
  [[nodiscard]] ir::Graph& graph() { return scope_.graph; }
  [[nodiscard]] Target target() const { return target_; }
  [[nodiscard]] const TensorType& type(ir::ValueId id) const { return scope_.graph.value(id).type; }
  [[nodiscard]] bool has(std::string_view parameter) const;

  [[nodiscard]] Result<ir::ValueId> operand(std::string_view parameter);
  [[nodiscard]] Result<std::vector<ir::ValueId>> operands(std::string_view parameter);  ///< of a tuple
  /// The value of a parameter that must be constant; by name, given in place, or an attribute.
  [[nodiscard]] Result<const MilValue*> value(std::string_view parameter) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> ints(std::string_view parameter) const;
  [[nodiscard]] Result<std::vector<bool>> bools(std::string_view parameter) const;
  [[nodiscard]] Result<std::int64_t> integer(std::string_view parameter) const;
  [[nodiscard]] Result<bool> boolean(std::string_view parameter) const;
  [[nodiscard]] Result<float> number(std::string_view parameter) const;
  [[nodiscard]] Result<std::string> text(std::string_view parameter) const;
  [[nodiscard]] Result<ConstantRef> constant(const MilValue& value) { return blobs_.read(value); }

  [[nodiscard]] Result<std::vector<ir::ValueId>> emit_all(ir::Op op, std::vector<ir::ValueId> inputs);
  [[nodiscard]] Result<ir::ValueId> emit(ir::Op op, std::vector<ir::ValueId> inputs);
  /// Gives the operation's results their values; each must have the type that the operation declares.
  [[nodiscard]] Status define(const std::vector<ir::ValueId>& results);
  [[nodiscard]] Status define(Result<ir::ValueId> result);

  [[nodiscard]] Error malformed(std::string message) const;
  [[nodiscard]] Error unsupported(std::string message) const;

 private:
  [[nodiscard]] Result<ir::ValueId> named(const std::string& name);

  const MilOperation& operation_;
  LiftScope& scope_;
  BlobReader& blobs_;
  Target target_;
};

}  // namespace smelt::coreml_format
