// Every malformed call is refused by the name of what is wrong with it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "gemv/malformed.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/problem.hpp>

using reset::ActivationType;
using reset::GemvGate;
using reset::GemvProblem;

namespace {

// Each of them is refused under its name.
template <std::size_t kCount>
void refused(const Malformed (&calls)[kCount]) {
  for (const Malformed& call : calls) {
    GemvProblem problem = well_formed(call.activation, 4, 300, 512);
    REQUIRE(validate(problem).ok());
    call.change(problem);
    const reset::Status status = validate(problem);
    INFO(status.message());
    CHECK(status.code() == reset::StatusCode::kInvalidArgument);
    CHECK(std::string(status.argument()) == call.argument);
  }
}

void* writable(const std::uint8_t* address) { return const_cast<std::uint8_t*>(address); }

}  // namespace

TEST_CASE("well-formed calls are accepted") {
  for (const auto activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
    for (std::int64_t m = 1; m <= 16; ++m) CHECK(validate(well_formed(activation, m, 17, 16)).ok());
    GemvProblem problem = well_formed(activation, 3, 300, 512);
    problem.gate = GemvGate::kUpGate;
    problem.output.row_stride = 150;
    problem.bias = problem.residual = problem.alpha.device = nullptr;
    CHECK(validate(problem).ok());
    CHECK(result_columns(problem) == 150);
  }
  // A single token has no stride.
  GemvProblem problem = well_formed(ActivationType::kBf16, 1, 300, 512);
  problem.output.row_stride = problem.activations.row_stride = 0;
  CHECK(validate(problem).ok());
}

TEST_CASE("the most rows that a call may have are those that the kernels can count") {
  // Regions are 2^40 bytes apart, and so are the operands.
  CHECK(validate(well_formed(ActivationType::kBf16, 1, reset::kMaxGemvRows, 16)).ok());
  for (const std::int64_t rows : {reset::kMaxGemvRows + 1, std::int64_t{0x7fffffff}}) {
    CHECK(validate(well_formed(ActivationType::kBf16, 1, rows, 16)).message() ==
          "invalid argument: weights.rows is " + std::to_string(rows) + ", expected 1..2^31-1024");
  }
}

TEST_CASE("tokens and shapes") { refused(malformed::kShapes); }

TEST_CASE("views are refused under their names") {
  refused(malformed::kViews);
  GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 300, 512);
  problem.weights.global.parts[0].scale = {-1.5f};
  CHECK(validate(problem).value() == -1.5);
}

TEST_CASE("pointers and strides of 16-bit activations") { refused(malformed::kDense); }

TEST_CASE("pointers and strides of the output and what is added to it") { refused(malformed::kOutputs); }

TEST_CASE("an output may share no memory with what is read") {
  refused(malformed::kOverlaps);
  for (const std::uint8_t* apart : {region(1) + 300 * 256, region(1) - 4 * 600, region(3) + 4 * 256, region(7)}) {
    GemvProblem problem = well_formed(ActivationType::kNvfp4, 4, 300, 512);
    problem.output.data = writable(apart);
    CHECK(validate(problem).ok());
  }
}

TEST_CASE("column ranges of one buffer are apart") {
  GemvProblem problem = well_formed(ActivationType::kBf16, 4, 300, 512);
  problem.activations.row_stride = problem.output.row_stride = 812;
  problem.output.data = writable(region(3) + 512 * 2);
  problem.residual = nullptr;
  CHECK(validate(problem).ok());
  problem.output.data = writable(region(3) + 511 * 2);
  CHECK_FALSE(validate(problem).ok());
  problem.output.data = writable(region(3) + 513 * 2);  // the last column of token 0 is the first input of token 1
  CHECK_FALSE(validate(problem).ok());
}
