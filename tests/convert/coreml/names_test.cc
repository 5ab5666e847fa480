#include "convert/coreml/names.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace smelt::coreml_format {
namespace {

// Core ML format notes 3.7: what Apple's converter makes of a name.
TEST(Names, EveryOffendingCharacterBecomesOneUnderscore) {
  for (const auto& [name, legal] : std::vector<std::pair<std::string, std::string>>{
           {"x", "x"}, {"_x", "_x"}, {"X1_y", "X1_y"}, {"a.b/c:0", "a_b_c_0"}, {"a b", "a_b"}, {"a--b", "a__b"}, {"x@1", "x_1"},
           {"/x", "_x"}, {".", "_"}, {"a\n", "a_"}, {std::string("a\0b", 3), "a_b"}, {"\xc3\xa9", "__"}}) {
    EXPECT_EQ(legal_name(name), legal) << name;
  }
}

TEST(Names, AFirstDigitGetsAPrefix) {
  EXPECT_EQ(legal_name("1"), "var_1");
  EXPECT_EQ(legal_name("0.weight"), "var_0_weight");
  EXPECT_EQ(legal_name("-1"), "_1");
  EXPECT_EQ(legal_name(""), "var");
}

TEST(Names, ReservedWordsGetASuffix) {
  for (const std::string word : {"any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "bf16",
                                 "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "state"}) {
    EXPECT_EQ(legal_name(word), word + "_workaround");
  }
  EXPECT_EQ(legal_name("Tensor"), "Tensor");
  EXPECT_EQ(legal_name("tensor_0"), "tensor_0");
  EXPECT_EQ(legal_name("float"), "float");
}

TEST(Names, AreUniqueInTheOrderOfTheRequests) {
  NameTable table;
  std::vector<std::string> names;
  for (const char* name : {"a", "a", "a:0", "a_0", "a_0_0", "a", "tensor", "tensor", "tensor_workaround", "", ""}) names.push_back(table.take(name));
  EXPECT_EQ(names, (std::vector<std::string>{"a", "a_0", "a_0_0", "a_0_1", "a_0_0_0", "a_1", "tensor_workaround", "tensor_workaround_0",
                                             "tensor_workaround_1", "var", "var_0"}));
}

TEST(Names, ALegalNameIsKept) {
  for (const char* name : {"a.b", "1", "", "tensor", "x@y", "\xff"}) EXPECT_EQ(legal_name(legal_name(name)), legal_name(name)) << name;
}

}  // namespace
}  // namespace smelt::coreml_format
