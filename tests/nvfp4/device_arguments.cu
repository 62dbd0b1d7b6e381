// What the launchers refuse, in words; none of it reaches a device, so it needs none.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

#include "support/catch.hpp"

namespace {

// Host memory in the place of device memory: a refused call touches neither.
struct Call {
  std::vector<__half> x = std::vector<__half>(4 * 64);
  std::vector<__half> residual = std::vector<__half>(4 * 32);
  std::vector<__half> weight = std::vector<__half>(32);
  std::vector<std::uint8_t> packed = std::vector<std::uint8_t>(4 * 16);
  std::vector<std::uint8_t> scales = std::vector<std::uint8_t>(512);
  std::int64_t ld = 64;
  reset::QuantizeOptions options;
  reset::RmsNorm<__half> norm{weight.data(), 1e-6f, residual.data(), 32};
  reset::Nvfp4MutableMatrixView out{packed.data(),
                                    4,
                                    32,
                                    16,
                                    {scales.data(), reset::ScaleLayout::kSwizzled128x4, 4, 0, 0},
                                    reset::FusedGlobalScales::uniform({1.0f})};

  std::string plain(const __half* from) const {
    return reset::quantize_activations(from, ld, out, options, nullptr).message();
  }
  std::string plain() const { return plain(x.data()); }
  std::string fused() const { return reset::rms_norm_quantize(x.data(), ld, norm, out, options, nullptr).message(); }
  std::string silu(reset::GateOrder order) const {
    return reset::silu_mul_quantize(x.data(), ld, order, out, options, nullptr).message();
  }
  std::string decode(__half* to) const { return reset::dequantize_matrix(out, to, ld, {}, nullptr).message(); }
};

bool begins(const std::string& text, const std::string& words) { return text.rfind(words, 0) == 0; }

__half* misaligned(__half* pointer) { return reinterpret_cast<__half*>(reinterpret_cast<std::uintptr_t>(pointer) + 1); }

}  // namespace

TEST_CASE("the quantisers name what they refuse", "[host]") {
  Call call;
  CHECK(call.plain(nullptr) == "invalid argument: x is 0, expected not null");
  CHECK(begins(call.plain(misaligned(call.x.data())), "invalid argument: x is "));
  call.ld = 31;
  CHECK(call.plain() ==
        "invalid argument: ld is 31, expected at least the columns of the matrix, twice those for "
        "silu_mul_quantize");
  for (const std::int64_t ld : {std::int64_t{1} << 31, std::int64_t{1} << 62}) {
    call.ld = ld;
    const std::string beyond = "invalid argument: ld is " + std::to_string(ld) + ", expected at most 2^31-1";
    for (const std::string& message :
         {call.plain(), call.fused(), call.silu(reset::GateOrder::kGateUp), call.decode(call.x.data())}) {
      CHECK(message == beyond);
    }
  }
  call = Call();
  call.out.cols = 24;
  CHECK(call.plain() == "invalid argument: cols is 24, expected a multiple of 16");
  call = Call();
  call.out.global.parts[0].scale = {0.0f};
  CHECK(begins(call.plain(), "invalid argument: global.parts[0].scale is 0"));
  call = Call();
  call.out.packed = reinterpret_cast<std::uint8_t*>(call.x.data()) + 100;
  CHECK(call.plain().find("expected memory that does not overlap the result") != std::string::npos);
  call = Call();
  call.out.block_scale.data = reinterpret_cast<std::uint8_t*>(call.x.data()) - 511;
  CHECK(call.plain().find("expected memory that does not overlap the result") != std::string::npos);
  call = Call();
  call.out.block_scale.data = call.out.packed + 1;
  for (const std::string& message : {call.plain(), call.fused(), call.silu(reset::GateOrder::kGateUp)}) {
    CHECK(begins(message, "invalid argument: block_scale.data is "));
    CHECK(message.find("expected memory that does not overlap packed") != std::string::npos);
  }
}

TEST_CASE("a global scale in memory is one float apart from the result", "[host]") {
  Call call;
  call.options.global = reinterpret_cast<const float*>(reinterpret_cast<std::uintptr_t>(call.x.data()) + 1);
  for (const std::string& message : {call.plain(), call.fused(), call.silu(reset::GateOrder::kGateUp)}) {
    CHECK(begins(message, "invalid argument: global is "));
    CHECK(message.find("expected aligned for its type") != std::string::npos);
  }
  call.options.global = reinterpret_cast<const float*>(call.scales.data() + 508);
  CHECK(begins(call.plain(), "invalid argument: global is "));
  CHECK(call.plain().find("expected memory that does not overlap the result") != std::string::npos);
}

TEST_CASE("the padding is cleared for whole scale tensors only", "[host]") {
  Call call;
  call.options.zero_scale_padding = true;
  call.out.block_scale.row_origin = 1;
  CHECK(begins(call.plain(), "invalid argument: block_scale.row_origin is 1"));
  call.out.block_scale.row_origin = 0;
  call.out.block_scale.block_origin = 2;
  CHECK(begins(call.plain(), "invalid argument: block_scale.block_origin is 2"));
  call.out.block_scale.block_origin = 0;
  call.out.block_scale.stride = 8;
  CHECK(begins(call.plain(), "invalid argument: block_scale.stride is 8"));
}

TEST_CASE("the fused quantisers name what they refuse", "[host]") {
  Call call;
  CHECK(call.silu(static_cast<reset::GateOrder>(7)) ==
        "invalid argument: order is 7, expected 0 (kGateUp) or 1 (kUpGate)");
  call.ld = 63;
  CHECK(begins(call.silu(reset::GateOrder::kUpGate), "invalid argument: ld is 63"));
  call.ld = 64;
  for (const float epsilon : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    call.norm.epsilon = epsilon;
    CHECK(begins(call.fused(), "invalid argument: epsilon is "));
  }
  call.norm.epsilon = 0.0f;
  call.norm.weight = nullptr;
  CHECK(call.fused() == "invalid argument: weight is 0, expected not null");
  call.norm.weight = call.weight.data();
  call.norm.residual_stride = 31;
  CHECK(begins(call.fused(), "invalid argument: residual_stride is 31"));
  call.norm.residual_stride = std::int64_t{1} << 31;
  CHECK(call.fused() == "invalid argument: residual_stride is 2147483648, expected at most 2^31-1");
}

TEST_CASE("what a fused quantiser writes is apart from what it reads", "[host]") {
  Call call;
  const std::string apart = "memory that does not overlap ";
  call.norm.weight = reinterpret_cast<const __half*>(call.packed.data());
  CHECK(begins(call.fused(), "invalid argument: weight is "));
  CHECK(call.fused().find(apart + "the result") != std::string::npos);
  call = Call();
  call.norm.residual = reinterpret_cast<__half*>(call.scales.data());
  CHECK(begins(call.fused(), "invalid argument: residual is "));
  CHECK(call.fused().find(apart + "the result") != std::string::npos);
  call = Call();
  call.norm.residual = call.x.data() + 10;
  CHECK(call.fused().find(apart + "x, weight or global") != std::string::npos);
  call = Call();
  call.norm.weight = call.residual.data() + 96;
  CHECK(call.fused().find(apart + "x, weight or global") != std::string::npos);
  call = Call();
  call.options.global = reinterpret_cast<const float*>(call.residual.data() + 126);
  CHECK(call.fused().find(apart + "x, weight or global") != std::string::npos);
}

// What is accepted would be launched, so that the check alone is called.
TEST_CASE("column ranges of one buffer do not overlap", "[host]") {
  Call call;
  const auto check = [&call] {
    return reset::detail::validate_quantize(call.x.data(), call.ld, 32, call.out, call.options).message();
  };
  REQUIRE(check() == "ok");
  // The result, of 16 bytes a row, behind the 64 bytes that a row of x takes of its 128; one byte further ahead it
  // overlaps, and so it does at the end of a row that begins in the one before.
  auto* bytes = reinterpret_cast<std::uint8_t*>(call.x.data());
  call.out.row_stride = 128;
  for (const int place : {64, 112}) {
    call.out.packed = bytes + place;
    CHECK(check() == "ok");
  }
  for (const int place : {63, 113}) {
    call.out.packed = bytes + place;
    CHECK(check().find("memory that does not overlap the result") != std::string::npos);
  }
  // Scales of a part: the columns of others between them are not the call's.
  call = Call();
  bytes = reinterpret_cast<std::uint8_t*>(call.x.data());
  call.out.block_scale = {bytes + 64, reset::ScaleLayout::kLinear, 128, 0, 0};
  CHECK(check() == "ok");
  call.out.block_scale.block_origin = 63;
  CHECK(check().find("memory that does not overlap the result") != std::string::npos);
  // Residual and x side by side.
  call = Call();
  call.norm.residual = call.x.data() + 32;
  call.norm.residual_stride = 64;
  CHECK(reset::detail::validate_norm(call.x.data(), call.ld, call.norm, nullptr, call.out).ok());
  call.norm.residual = call.x.data() + 31;
  CHECK(!reset::detail::validate_norm(call.x.data(), call.ld, call.norm, nullptr, call.out).ok());
  // The dequantised values between rows of codes.
  call = Call();
  std::vector<std::uint8_t> codes(4 * 128);
  call.out.packed = codes.data();
  call.out.row_stride = 128;
  auto* values = reinterpret_cast<__half*>(codes.data() + 16);
  CHECK(reset::detail::validate_dequantize(call.out, values, 64).ok());
  CHECK(!reset::detail::validate_dequantize(call.out, values - 1, 64).ok());
}

TEST_CASE("dequantisation names what it refuses", "[host]") {
  Call call;
  CHECK(call.decode(nullptr) == "invalid argument: out is 0, expected not null");
  CHECK(begins(call.decode(misaligned(call.x.data())), "invalid argument: out is "));
  call.ld = 16;
  CHECK(begins(call.decode(call.x.data()), "invalid argument: ld is 16"));
  call.ld = 32;
  CHECK(call.decode(reinterpret_cast<__half*>(call.packed.data())).find("does not overlap the weights") !=
        std::string::npos);
  call.out.block_scale.layout = static_cast<reset::ScaleLayout>(9);
  CHECK(begins(call.decode(call.x.data()), "invalid argument: block_scale.layout is 9"));
  call = Call();
  call.out.rows = 0x7fffffff;
  call.out.cols = 1 << 20;
  call.out.row_stride = call.ld = 1 << 20;
  // Addresses so far apart that nothing of 2^31 rows overlaps; a refused call does not touch them.
  call.out.packed = reinterpret_cast<std::uint8_t*>(std::uintptr_t{1} << 53);
  call.out.block_scale = {reinterpret_cast<std::uint8_t*>(std::uintptr_t{1} << 54), reset::ScaleLayout::kLinear,
                          1 << 20, 0, 0};
  CHECK(call.decode(reinterpret_cast<__half*>(std::uintptr_t{1} << 55)) ==
        "unsupported: rows is 2147483647, expected ceil(rows / 8) * ceil(cols / 1024) below 2^31");
}
