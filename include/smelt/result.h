#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <variant>

#include "smelt/error.h"

namespace smelt {

/// Ends the process: a broken invariant of smelt itself, never caused by input.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

#define SMELT_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::smelt::check_failed(#condition, __FILE__, __LINE__))

/// Success, or an `Error`. Cheap to move and to copy when it is a success.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): `return Error(...)` is the normal use.
  Status(Error error) : error_(std::make_shared<const Error>(std::move(error))) {}

  [[nodiscard]] bool ok() const { return error_ == nullptr; }
  /// Only when not `ok()`.
  [[nodiscard]] const Error& error() const {
    SMELT_CHECK(error_ != nullptr);
    return *error_;
  }

 private:
  std::shared_ptr<const Error> error_;
};

/// A `T`, or an `Error`. Reading the value of an error ends the process (see `SMELT_CHECK`).
template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value` is the normal use.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): `return Error(...)` is the normal use.
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTNEXTLINE(google-explicit-constructor): `return status` after a failed step.
  Result(const Status& status) : state_(std::in_place_index<1>, status.error()) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  [[nodiscard]] const Error& error() const {
    SMELT_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] const T& value() const& {
    SMELT_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T& value() & {
    SMELT_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && {
    SMELT_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace smelt

#define SMELT_CONCAT_INNER(a, b) a##b
#define SMELT_CONCAT(a, b) SMELT_CONCAT_INNER(a, b)

/// Returns the error of a `Status` expression from the enclosing function.
#define SMELT_RETURN_IF_ERROR(expression)                              \
  do {                                                                 \
    if (::smelt::Status smelt_status = (expression); !smelt_status.ok()) return smelt_status.error(); \
  } while (false)

/// `SMELT_ASSIGN_OR_RETURN(const auto x, f());` declares x from a `Result`, or returns its error.
#define SMELT_ASSIGN_OR_RETURN(declaration, expression) \
  SMELT_ASSIGN_OR_RETURN_INNER(SMELT_CONCAT(smelt_result_, __LINE__), declaration, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): names and a declaration take none.
#define SMELT_ASSIGN_OR_RETURN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                                         \
  if (!temporary.ok()) return temporary.error();                         \
  declaration = std::move(temporary).value()
// NOLINTEND(bugprone-macro-parentheses)
