#include "validate/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace smelt::parity {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

HostTensor row(std::vector<float> values) {
  const auto size = static_cast<std::int64_t>(values.size());
  return f32_tensor({size}, values);
}

OutputMetrics compare(const HostTensor& r, const HostTensor& y) {
  MetricsAccumulator accumulator("out");
  EXPECT_TRUE(accumulator.add(r, y).ok());
  return accumulator.finish();
}

TEST(Metrics, KnownValues) {
  const OutputMetrics m = compare(row({3, -4, 0}), row({3, -2, 1}));
  EXPECT_EQ(m.name, "out");
  EXPECT_EQ(m.elements, 3U);
  EXPECT_EQ(m.l_inf, 2);
  EXPECT_EQ(m.l_inf_baseline, -4);
  EXPECT_EQ(m.l_inf_variant, -2);
  EXPECT_EQ(m.l_inf_sample, 0U);
  EXPECT_DOUBLE_EQ(m.rmse, std::sqrt(5.0 / 3));
  EXPECT_EQ(m.peak, 4);
  EXPECT_DOUBLE_EQ(m.sqnr_db.value(), 10 * std::log10(25.0 / 5));
  EXPECT_DOUBLE_EQ(m.cosine, (9 + 8) / (5 * std::sqrt(14.0)));
  EXPECT_EQ(m.top1_agreement, 1.0);
  EXPECT_FALSE(m.top5_agreement.has_value());
}

TEST(Metrics, FortyDecibelsAreOnePercent) {
  std::vector<float> r, y;
  for (int i = 0; i < 1000; ++i) {
    r.push_back(i % 2 == 0 ? 1.0F : -1.0F);
    y.push_back(r.back() + (i % 4 < 2 ? 0.01F : -0.01F));
  }
  const OutputMetrics m = compare(row(r), row(y));
  EXPECT_NEAR(m.sqnr_db.value(), 40, 1e-4);
  EXPECT_NEAR(m.cosine, 0.99995, 1e-6);
}

TEST(Metrics, ExactIsExact) {
  const OutputMetrics m = compare(row({0.1F, 0.7F, -0.3F}), row({0.1F, 0.7F, -0.3F}));
  EXPECT_EQ(m.l_inf, 0);
  EXPECT_EQ(m.rmse, 0);
  EXPECT_EQ(m.cosine, 1);
  EXPECT_FALSE(m.sqnr_db.has_value());
}

TEST(Metrics, ZeroOutputs) {
  EXPECT_EQ(compare(row({0, 0}), row({0, 0})).cosine, 1);
  const OutputMetrics m = compare(row({0, 0}), row({1, 0}));
  EXPECT_EQ(m.cosine, 0);
  EXPECT_FALSE(m.sqnr_db.has_value());
  EXPECT_EQ(compare(row({1, 0}), row({0, 0})).cosine, 0);
  EXPECT_DOUBLE_EQ(compare(row({1, 2}), row({-1, -2})).cosine, -1);
}

TEST(Metrics, NotANumberAndInfinities) {
  const OutputMetrics m = compare(row({1, 2, kInf, kInf, kInf, kNan, 4}), row({kNan, kInf, kInf, -kInf, 1, 1, 5}));
  EXPECT_EQ(m.elements, 7U);
  EXPECT_EQ(m.nan_count, 2U);  // one of the variant, one of the baseline
  EXPECT_EQ(m.inf_count, 3U);  // finite to infinite, opposite, infinite to finite
  EXPECT_EQ(m.l_inf, 1);
  EXPECT_EQ(m.peak, 4);
  EXPECT_DOUBLE_EQ(m.rmse, std::sqrt(0.5));  // of 4 to 5, and of the equal infinities
  EXPECT_EQ(m.top1_agreement, 0.0);
}

TEST(Metrics, TopOneAndFive) {
  // Rows: the maxima agree by the lowest index of a tie; do not agree.
  const HostTensor r = f32_tensor({2, 3}, std::vector<float>{1, 5, 5, 1, 2, 3});
  const HostTensor y = f32_tensor({2, 3}, std::vector<float>{1, 6, 5, 1, 3, 2});
  EXPECT_EQ(compare(r, y).top1_agreement, 0.5);
  const OutputMetrics five = compare(row({7, 6, 5, 4, 3, 2, 1}), row({7, 6, 5, 4, 1, 2, 3}));
  EXPECT_EQ(five.top1_agreement, 1.0);
  EXPECT_EQ(five.top5_agreement, 0.8);
  EXPECT_EQ(compare(row({1, 1, 1, 1, 1, 1}), row({2, 2, 2, 2, 2, 2})).top5_agreement, 1.0);
}

TEST(Metrics, NoRowsOfScores) {
  EXPECT_FALSE(compare(row({1}), row({1})).top1_agreement.has_value());
  const HostTensor rank3 = f32_tensor({1, 1, 2}, std::vector<float>{1, 2});
  EXPECT_FALSE(compare(rank3, rank3).top1_agreement.has_value());
  const HostTensor scalar = f32_tensor({}, std::vector<float>{1});
  EXPECT_EQ(compare(scalar, scalar).elements, 1U);
  const HostTensor empty = f32_tensor({0, 4}, {});
  const OutputMetrics m = compare(empty, empty);
  EXPECT_EQ(m.elements, 0U);
  EXPECT_EQ(m.rmse, 0);
  EXPECT_FALSE(m.top1_agreement.has_value());
  const HostTensor integers = i64_tensor({2}, std::vector<std::int64_t>{1, 2});
  EXPECT_FALSE(compare(integers, integers).top1_agreement.has_value());
}

TEST(Metrics, SamplesAddUp) {
  MetricsAccumulator accumulator("out");
  ASSERT_TRUE(accumulator.add(row({1, 2}), row({1, 2})).ok());
  ASSERT_TRUE(accumulator.add(row({1, 2}), row({4, 2})).ok());
  ASSERT_TRUE(accumulator.add(row({1, 2}), row({1, 5})).ok());
  const OutputMetrics m = accumulator.finish();
  EXPECT_EQ(m.elements, 6U);
  EXPECT_EQ(m.l_inf, 3);
  EXPECT_EQ(m.l_inf_sample, 1U);  // the first of equals
  EXPECT_DOUBLE_EQ(m.rmse, std::sqrt(18.0 / 6));
  EXPECT_DOUBLE_EQ(m.top1_agreement.value(), 2.0 / 3);
}

TEST(Metrics, ShapesAndKindsMustAgree) {
  MetricsAccumulator accumulator("out");
  const Status shapes = accumulator.add(row({1, 2}), row({1}));
  ASSERT_FALSE(shapes.ok());
  EXPECT_EQ(shapes.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(shapes.error().message().find("f32[2]"), std::string::npos);
  EXPECT_FALSE(accumulator.add(row({1}), i64_tensor({1}, std::vector<std::int64_t>{1})).ok());
  EXPECT_EQ(accumulator.finish().elements, 0U);
  const HostTensor narrow{.dtype = DType::kI8, .shape = {1}, .bytes = {std::byte{0xfe}}};
  ASSERT_TRUE(accumulator.add(i64_tensor({1}, std::vector<std::int64_t>{1}), narrow).ok());
  EXPECT_EQ(accumulator.finish().l_inf, 3);
}

TEST(Gates, Parse) {
  const Gate plain = parse_gate("linf=0.01").value();
  EXPECT_EQ(plain.output, "");
  EXPECT_EQ(plain.metric, Metric::kLInf);
  EXPECT_EQ(plain.limit, 0.01);
  EXPECT_FALSE(plain.is_relative);
  const Gate named = parse_gate("a=b.c.rmse=1e-4").value();
  EXPECT_EQ(named.output, "a=b.c");
  EXPECT_EQ(named.metric, Metric::kRmse);
  EXPECT_EQ(named.limit, 1e-4);
  EXPECT_EQ(parse_gate("sqnr=-5").value().limit, -5);
  EXPECT_EQ(parse_gate("cosine=0.999").value().metric, Metric::kCosine);
  EXPECT_EQ(parse_gate("out.top1=1").value().metric, Metric::kTop1);
  for (const char* text : {"", "linf", "linf=", "linf=x", "linf=1x", "linf=nan", "linf=inf", "linf=1e999", "linf= 1", "psnr=3",
                           ".linf=1", "out.=1", "=1", "LINF=1", "linf.=1"}) {
    const Result<Gate> gate = parse_gate(text);
    ASSERT_FALSE(gate.ok()) << text;
    EXPECT_EQ(gate.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_NE(gate.error().hint_text().find("cosine"), std::string::npos) << text;
  }
}

std::vector<GateResult> judge(const OutputMetrics& output, const Gate& gate) {
  return check_gates(std::span(&output, 1), std::span(&gate, 1)).value();
}

TEST(Gates, BoundsAreStrictForDifferences) {
  const OutputMetrics m = compare(row({3, -4}), row({3, -2}));
  EXPECT_FALSE(judge(m, {.output = "", .metric = Metric::kLInf, .limit = 2}).at(0).passed);
  EXPECT_TRUE(judge(m, {.output = "out", .metric = Metric::kLInf, .limit = 2.1}).at(0).passed);
  EXPECT_TRUE(judge(m, {.output = "", .metric = Metric::kTop1, .limit = 1}).at(0).passed);
  EXPECT_TRUE(judge(m, {.output = "", .metric = Metric::kCosine, .limit = m.cosine}).at(0).passed);
  const GateResult relative = judge(m, {.output = "", .metric = Metric::kLInf, .limit = 0.6, .is_relative = true}).at(0);
  EXPECT_EQ(relative.scale, 4);
  EXPECT_DOUBLE_EQ(relative.limit, 2.4);
  EXPECT_EQ(relative.value, 2);
  EXPECT_TRUE(relative.passed);
  EXPECT_EQ(judge(compare(row({0.5F}), row({0.5F})), {.output = "", .limit = 1, .is_relative = true}).at(0).scale, 1);
}

TEST(Gates, SqnrOfExactAndOfSilent) {
  const Gate gate{.output = "", .metric = Metric::kSqnr, .limit = 300};
  EXPECT_TRUE(judge(compare(row({1}), row({1})), gate).at(0).passed);
  EXPECT_TRUE(judge(compare(row({0}), row({0})), gate).at(0).passed);
  EXPECT_FALSE(judge(compare(row({0}), row({1e-9F})), gate).at(0).passed);
  EXPECT_FALSE(judge(compare(row({1}), row({1.5F})), gate).at(0).passed);
}

TEST(Gates, NotANumberFailsEachGate) {
  const OutputMetrics nan = compare(row({1, 2}), row({1, kNan}));
  const OutputMetrics inf = compare(row({1, 2}), row({1, kInf}));
  for (const auto metric : {Metric::kLInf, Metric::kRmse, Metric::kSqnr, Metric::kCosine, Metric::kTop1}) {
    const double limit = metric == Metric::kLInf || metric == Metric::kRmse ? 1e9 : -1e9;
    EXPECT_FALSE(judge(nan, {.output = "", .metric = metric, .limit = limit}).at(0).passed) << metric_name(metric);
    EXPECT_FALSE(judge(inf, {.output = "", .metric = metric, .limit = limit}).at(0).passed) << metric_name(metric);
  }
}

TEST(Gates, OutputsMustBeThere) {
  std::vector<OutputMetrics> outputs{compare(row({1, 2}), row({1, 2})), compare(row({1}), row({1}))};
  outputs[1].name = "other";
  const auto check = [&](Gate gate) { return check_gates(outputs, std::span(&gate, 1)); };
  EXPECT_EQ(check({.output = "", .limit = 1}).value().size(), 2U);
  EXPECT_EQ(check({.output = "", .metric = Metric::kTop1, .limit = 1}).value().size(), 1U);
  const auto missing = check({.output = "gone", .limit = 1});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(missing.error().message().find("out, other"), std::string::npos);
  EXPECT_FALSE(check({.output = "other", .metric = Metric::kTop1, .limit = 1}).ok());
  EXPECT_TRUE(check_gates(outputs, {}).value().empty());
}

}  // namespace
}  // namespace smelt::parity
