#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <reset/io/safetensors.hpp>
#include <reset/io/safetensors_writer.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using io_test::bytes_of;
using io_test::message_of;
using io_test::read_file;
using io_test::TemporaryFolder;
using reset::DType;
using reset::SafetensorsWriter;

TEST_CASE("the writer's bytes are those of the format") {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.safetensors");
  SafetensorsWriter writer(path, {{"b", DType::kU8, {3}}, {"a", DType::kF32, {}}, {"z", DType::kI64, {0, 2}}},
                           {{"format", "pt"}});
  const float one = 1.0f;
  writer.append("b", "xy", 2);
  writer.append("a", &one, 4);
  writer.append("b", "z", 1);
  writer.finish();

  // Larger elements first; the header is padded with spaces to a multiple of 8.
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[0,2],"data_offsets":[0,0]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  REQUIRE(padded.size() != header.size());
  const std::string data = std::string("\x00\x00\x80\x3f", 4) + "xyz";
  CHECK(read_file(path) == io_test::with_header(padded, data));
  CHECK(folder.names() == std::vector<std::string>{"out.safetensors"});
}

TEST_CASE("what is written is read back, of every element type") {
  const TemporaryFolder folder;
  const std::string path = folder.file("all.safetensors");
  std::vector<reset::TensorSpec> specs;
  std::vector<std::string> contents;
  for (const reset::detail::DTypeInfo& info : reset::detail::kDTypes) {
    specs.push_back({"layer \"0\"\n." + std::string(info.name), info.dtype, {2, 4}});
    contents.emplace_back();
    for (std::size_t i = 0; i < info.bits; ++i) contents.back() += static_cast<char>(i * 31 + info.bits);
  }
  SafetensorsWriter writer(path, specs, {{"key", "value \xe2\x82\xac"}});
  // Byte by byte, the tensors in turns.
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t t = 0; t < specs.size(); ++t) {
      if (i < contents[t].size()) writer.append(specs[t].name, &contents[t][i], 1);
    }
  }
  writer.finish();
  const reset::SafetensorsFile file(path);
  CHECK(file.metadata().at("key") == "value \xe2\x82\xac");
  REQUIRE(file.tensors().size() == specs.size());
  for (std::size_t t = 0; t < specs.size(); ++t) {
    const reset::TensorView& tensor = file.tensor(specs[t].name);
    CHECK(tensor.dtype == specs[t].dtype);
    CHECK(tensor.shape == specs[t].shape);
    CHECK(std::string(reinterpret_cast<const char*>(tensor.data), tensor.bytes) == contents[t]);
    CHECK(reinterpret_cast<std::uintptr_t>(tensor.data) % reset::dtype_size(tensor.dtype) == 0);
  }
}

TEST_CASE("a file appears only when it is whole") {
  const TemporaryFolder folder;
  const std::string path = folder.write("w.safetensors", "the file before");
  {
    SafetensorsWriter writer(path, {{"a", DType::kU8, {4}}, {"b", DType::kU8, {0}}});
    writer.append("a", "abc", 3);
    CHECK(message_of([&] { writer.finish(); }) ==
          path + ": tensor \"a\" is 1 bytes short, expected complete before finish()");
    CHECK(folder.names().size() == 2);
    CHECK(read_file(path) == "the file before");
    SECTION("more may be appended after that") {
      writer.append("a", "d", 1);
      writer.finish();
      CHECK(reset::SafetensorsFile(path).tensor("a").bytes == 4);
    }
    SECTION("a writer that is moved from lets go") {
      SafetensorsWriter other(std::move(writer));
      other.append("a", "d", 1);
      other.finish();
      CHECK(reset::SafetensorsFile(path).contains("b"));
    }
    SECTION("and else the temporary file is removed") {}
  }
  CHECK(folder.names() == std::vector<std::string>{"w.safetensors"});
}

TEST_CASE("data that do not fit the declaration are refused and lose nothing") {
  const TemporaryFolder folder;
  const std::string path = folder.file("w.safetensors");
  SafetensorsWriter writer(path, {{"a", DType::kU8, {4}}, {"b", DType::kU8, {2}}});
  writer.append("a", "ab", 2);
  CHECK(message_of([&] { writer.append("a", "cde", 3); }) ==
        path + ": tensor \"a\" appended data is 3 bytes, expected at most the 2 that are missing");
  CHECK(message_of([&] { writer.append("c", "x", 1); }) ==
        path + ": tensor \"c\" is not declared, expected a tensor given to the constructor");
  writer.append("a", "cd", 2);
  CHECK_THROWS_AS(writer.append("a", "e", 1), reset::Error);
  writer.append("b", "yz", 2);
  writer.finish();
  const std::string file = read_file(path);
  CHECK(file.substr(file.size() - 6) == "abcdyz");
}

TEST_CASE("declarations that no file can hold are refused") {
  const TemporaryFolder folder;
  const std::string path = folder.file("w.safetensors");
  const auto message = [&](const std::vector<reset::TensorSpec>& specs) {
    return message_of([&] { SafetensorsWriter(path, specs); });
  };
  CHECK(message({{"a", DType::kU8, {1}}, {"a", DType::kF32, {1}}}) ==
        path + ": tensor \"a\" is declared twice, expected one tensor a name");
  CHECK(message({{"__metadata__", DType::kU8, {1}}}) ==
        path + ": tensor name is \"__metadata__\", expected a name that the format does not reserve");
  CHECK(message({{"a", DType::kU8, {-1}}}) == path +
                                                  ": tensor \"a\" shape is [-1], expected extents of at least 0 that "
                                                  "make whole bytes, at most 2^48 in the file");
  CHECK_THAT(
      message({{"a", DType::kF64, {INT64_MAX, INT64_MAX}}}),
      Catch::Matchers::EndsWith("expected extents of at least 0 that make whole bytes, at most 2^48 in the file"));
  CHECK(message({{"a", DType::kF4, {2, 3}}, {"b", DType::kF4, {3}}}) ==
        path +
            ": tensor \"b\" shape is [3], expected extents of at least 0 that make whole bytes, at most 2^48 in the "
            "file");
  // One tensor may be that large; 65,536 of them would wrap the offset round to 0.
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  CHECK_NOTHROW(SafetensorsWriter(path, {{"a", DType::kU8, {kMost}}}));
  CHECK(message({{"a", DType::kU8, {kMost - 1}}, {"b", DType::kU8, {2}}}) ==
        path +
            ": tensor \"b\" shape is [2], expected extents of at least 0 that make whole bytes, at most 2^48 in the "
            "file");
  std::vector<reset::TensorSpec> many;
  for (int i = 0; i < 65536; ++i) many.push_back({std::to_string(i), DType::kU8, {kMost}});
  many.push_back({"x", DType::kU8, {1}});
  CHECK_THAT(message(many), Catch::Matchers::StartsWith(path + ": tensor \"1\" shape is [281474976710656], expected"));
  CHECK_THAT(message({{"\xff", DType::kU8, {1}}}), Catch::Matchers::EndsWith("expected UTF-8"));
  CHECK(folder.names().empty());
  const std::string nowhere = folder.file("no/such/folder");
  CHECK(message_of([&] { SafetensorsWriter(nowhere, {}); }) ==
        nowhere + ": cannot create it: No such file or directory");
}
