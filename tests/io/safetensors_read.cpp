#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <reset/io/safetensors.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using io_test::bytes_of;
using io_test::FileBuilder;
using io_test::message_of;
using io_test::TemporaryFolder;
using reset::DType;

namespace {

std::uint32_t bits(float x) {
  std::uint32_t result;
  std::memcpy(&result, &x, sizeof result);
  return result;
}

// IEEE 754 half by its definition, apart from the code under test.
double half_value(unsigned code) {
  const int exponent = static_cast<int>(code >> 10 & 31);
  const int mantissa = static_cast<int>(code & 1023);
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return code & 0x8000 ? -magnitude : magnitude;
}

reset::TensorView tensor_of(DType dtype, const std::string& data) {
  reset::TensorView tensor;
  tensor.name = "w";
  tensor.dtype = dtype;
  tensor.data = reinterpret_cast<const std::uint8_t*>(data.data());
  tensor.bytes = data.size();
  tensor.shape = {tensor.size()};
  tensor.file = "here";
  return tensor;
}

}  // namespace

TEST_CASE("a file written out by hand is read back") {
  // 152 bytes of header, padded with spaces.
  std::string file("\x98\x00\x00\x00\x00\x00\x00\x00", 8);
  file += R"({"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},)"
          R"("empty":{"dtype":"I64","shape":[0,3],"data_offsets":[4,4]}}     )"
          "\x80\x3f\x20\xc0";
  const TemporaryFolder folder;
  const reset::SafetensorsFile opened(folder.write("golden.safetensors", file));

  CHECK(opened.file() == folder.file("golden.safetensors"));
  CHECK(opened.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(opened.tensors().size() == 2);
  CHECK(opened.contains("w"));
  CHECK_FALSE(opened.contains("__metadata__"));
  const reset::TensorView& w = opened.tensor("w");
  CHECK(w.name == "w");
  CHECK(w.file == opened.file());
  CHECK(w.dtype == DType::kBF16);
  CHECK(w.shape == std::vector<std::int64_t>{1, 2});
  CHECK(w.bytes == 4);
  CHECK(w.size() == 2);
  float values[3] = {7, 7, 7};
  reset::read_floats(w, 0, 2, values);
  CHECK(values[0] == 1.0f);
  CHECK(values[1] == -2.5f);
  CHECK(values[2] == 7.0f);
  CHECK(opened.tensor("empty").size() == 0);
  CHECK(opened.tensor("empty").shape == std::vector<std::int64_t>{0, 3});
  CHECK_NOTHROW(reset::read_floats(tensor_of(DType::kF32, ""), 0, 0, nullptr));
}

TEST_CASE("views stay valid when the file object moves") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", FileBuilder().add("x", "F32", "[2]", bytes_of<float>({1, -3})).build());
  const std::string other = folder.write("b", FileBuilder().add("y", "U8", "[]", "z").build());
  reset::SafetensorsFile first(path);
  const reset::TensorView view = first.tensor("x");
  reset::SafetensorsFile second(std::move(first));
  reset::SafetensorsFile third(other);
  third = std::move(second);
  float values[2] = {};
  reset::read_floats(view, 0, 2, values);
  CHECK(values[0] == 1.0f);
  CHECK(values[1] == -3.0f);
  CHECK(third.tensor("x").data == view.data);
  CHECK_FALSE(third.contains("y"));
}

TEST_CASE("every element type has its name and size") {
  const std::vector<std::pair<std::string, std::size_t>> expected = {
      {"F64", 64},        {"F32", 32},        {"F16", 16},    {"BF16", 16},  {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"I64", 64},        {"I32", 32},        {"I16", 16},    {"I8", 8},     {"U64", 64},    {"U32", 32},
      {"U16", 16},        {"U8", 8},          {"BOOL", 8},    {"C64", 64},   {"F4", 4},      {"F8_E8M0", 8},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}};
  FileBuilder builder;
  for (const auto& [name, bits] : expected) builder.add("t." + name, name, "[3,4]", std::string(12 * bits / 8, 'x'));
  const std::string file = builder.build();
  const reset::SafetensorsView view(file.data(), file.size(), "types");
  REQUIRE(view.tensors().size() == expected.size());
  for (const auto& [name, bits] : expected) {
    INFO(name);
    const reset::TensorView& tensor = view.tensor("t." + name);
    CHECK(reset::dtype_name(tensor.dtype) == name);
    CHECK(reset::dtype_bits(tensor.dtype) == bits);
    CHECK(reset::dtype_size(tensor.dtype) == (bits + 7) / 8);
    CHECK(tensor.bytes == 12 * bits / 8);
    CHECK(tensor.size() == 12);
  }
}

TEST_CASE("elements are converted wherever they lie") {
  // One byte before them makes every element unaligned.
  const std::string file = FileBuilder()
                               .add("pad", "U8", "[1]", "p")
                               .add("f32", "F32", "[3]", bytes_of<float>({1.5f, -0.25f, 3e38f}))
                               .add("f16", "F16", "[2]", bytes_of<std::uint16_t>({0x3c00, 0xc500}))
                               .add("bf16", "BF16", "[3]", bytes_of<std::uint16_t>({0x3f80, 0x8000, 0x4049}))
                               .build();
  const auto copy = io_test::exact_copy(file);
  const reset::SafetensorsView view(copy.get(), file.size(), "unaligned");
  std::vector<float> values(4, -7.0f);
  reset::read_floats(view.tensor("f32"), 1, 2, values.data());
  CHECK(values == std::vector<float>{-0.25f, 3e38f, -7.0f, -7.0f});
  reset::read_floats(view.tensor("f16"), 0, 2, values.data() + 1);
  CHECK(values == std::vector<float>{-0.25f, 1.0f, -5.0f, -7.0f});
  reset::read_floats(view.tensor("bf16"), 1, 2, values.data());
  CHECK(bits(values[0]) == 0x80000000u);
  CHECK(values[1] == 3.140625f);
}

TEST_CASE("every half and every bfloat16 is converted exactly") {
  std::vector<std::uint16_t> codes(65536);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint16_t>(i);
  const std::string data = bytes_of(codes);
  std::vector<float> half(codes.size(), -7.0f), bfloat(codes.size(), -7.0f);
  reset::read_floats(tensor_of(DType::kF16, data), 0, 65536, half.data());
  reset::read_floats(tensor_of(DType::kBF16, data), 0, 65536, bfloat.data());
  std::size_t wrong = 0;
  for (std::uint32_t code = 0; code < 65536; ++code) {
    if (bits(bfloat[code]) != code << 16) ++wrong;
    const bool finite = (code & 0x7c00) != 0x7c00;
    const std::uint32_t expected = finite ? bits(static_cast<float>(half_value(code)))
                                          : (code & 0x8000) << 16 | 0x7f800000u | (code & 0x3ff) << 13;
    if (bits(half[code]) != expected) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a range outside the tensor, or integers, are refused and write nothing") {
  const std::string data = bytes_of<float>({1, 2, 3});
  const reset::TensorView tensor = tensor_of(DType::kF32, data);
  float out = -7.0f;
  const std::vector<std::pair<std::int64_t, std::int64_t>> ranges = {
      {0, 4}, {3, 1}, {-1, 1}, {0, -1}, {4, 0}, {INT64_MAX, INT64_MAX}, {1, INT64_MAX}};
  for (const auto& [first, count] : ranges) {
    const std::string message = message_of([&, f = first, c = count] { reset::read_floats(tensor, f, c, &out); });
    CHECK(message == "here: tensor \"w\" range is " + std::to_string(first) + " + " + std::to_string(count) +
                         ", expected elements in 0..3");
  }
  CHECK(message_of([&] { reset::read_floats(tensor_of(DType::kU8, data), 0, 1, &out); }) ==
        "here: tensor \"w\" dtype is U8, expected F32, F16 or BF16");
  CHECK(out == -7.0f);
}

TEST_CASE("types of less than a byte are read past, not converted") {
  const std::string file =
      FileBuilder().add("fp4", "F4", "[2,2]", "ab").add("w", "F32", "[1]", bytes_of<float>({2.5f})).build();
  const auto copy = io_test::exact_copy(file);
  const reset::SafetensorsView view(copy.get(), file.size(), "mx");
  float out = -7.0f;
  CHECK(message_of([&] { reset::read_floats(view.tensor("fp4"), 4, 0, &out); }) ==
        "mx: tensor \"fp4\" dtype is F4, expected F32, F16 or BF16");
  CHECK(out == -7.0f);
  reset::read_floats(view.tensor("w"), 0, 1, &out);
  CHECK(out == 2.5f);
}

TEST_CASE("a missing tensor is named") {
  const std::string file = FileBuilder().build();
  const reset::SafetensorsView view(file.data(), file.size(), "none.safetensors");
  CHECK(view.tensors().empty());
  CHECK(message_of([&] { view.tensor("lm_head"); }) ==
        "none.safetensors: tensor \"lm_head\" is missing, expected a tensor of that name");
}
