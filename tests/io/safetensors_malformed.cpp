// Every way in which a safetensors file can be wrong: each is refused from memory and from a file, with a message that
// says what was found and what was expected.
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reset/io/safetensors.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using io_test::FileBuilder;
using io_test::message_of;
using io_test::TemporaryFolder;
using io_test::with_header;

namespace {

// Both readers refuse `file`, and both messages name it and end with `words`.
void check_refused(const std::string& file, const std::string& words) {
  const auto copy = io_test::exact_copy(file);
  const std::string in_memory =
      message_of([&] { reset::SafetensorsView(copy.get(), file.size(), "memory.safetensors"); });
  const TemporaryFolder folder;
  const std::string path = folder.write("bad.safetensors", file);
  const std::string on_disk = message_of([&] { reset::SafetensorsFile{path}; });
  CHECK(in_memory == "memory.safetensors: " + words);
  CHECK(on_disk == path + ": " + words);
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                const std::string& data) {
  return with_header(R"({"w":)" + entry(dtype, shape, offsets) + "}", data);
}

}  // namespace

TEST_CASE("the file these are variations of is well formed") {
  const std::string file = one("\"U8\"", "[2,2]", "[0,4]", "data");
  CHECK_NOTHROW(reset::SafetensorsView(file.data(), file.size(), "good"));
}

TEST_CASE("a truncated file is refused at every length") {
  const std::string file = FileBuilder().add("a", "U8", "[3]", "abc").add("b", "F32", "[1]", "wxyz").build();
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO(size);
    const auto copy = io_test::exact_copy(file.substr(0, size));
    CHECK_THROWS_AS(reset::SafetensorsView(copy.get(), size, "cut"), reset::Error);
  }
  check_refused("", "size is 0 bytes, expected at least the 8 bytes of the header's length");
  check_refused(file.substr(0, file.size() - 1),
                "tensor \"b\" data_offsets is [3,7], expected begin <= end <= 6, the bytes of data in the file, which "
                "may be cut off");
}

TEST_CASE("a header of absurd length is refused") {
  const auto with_length = [](std::uint64_t length) {
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + "{}";
  };
  check_refused(with_length(100000001),
                "header length is 100000001 bytes, expected at most 100000000 bytes in a safetensors file");
  check_refused(with_length(UINT64_MAX),
                "header length is 18446744073709551615 bytes, expected at most 100000000 bytes in a safetensors file");
  check_refused(
      with_length(3),
      "header length is 3 bytes, expected at most the 2 bytes that follow it in the file, which may be cut off");
  check_refused(with_length(0), "first byte of the header is \"\", expected \"{\"");
}

TEST_CASE("a header that is not JSON, or not the JSON of the format, is refused") {
  check_refused(with_header("[]", ""), "first byte of the header is \"[\", expected \"{\"");
  check_refused(with_header(" {}", ""), "first byte of the header is \" \", expected \"{\"");
  check_refused(with_header(std::string("{}\0x", 4), ""),
                "content is not JSON (it holds a NUL byte), expected a JSON document");
  check_refused(with_header(R"({"w":1})", ""), "tensor \"w\" is 1, expected an object with \"dtype\"");
  check_refused(with_header(R"({"w":{"dtype":"U8"}})", ""),
                "tensor \"w\" is object of 1, expected an object with \"shape\"");
  check_refused(with_header(R"({"w":{"dtype":"U8","shape":[]}})", ""),
                "tensor \"w\" is object of 2, expected an object with \"data_offsets\"");
  check_refused(with_header(R"({"__metadata__":[]})", ""), "__metadata__ is array of 0, expected an object of strings");
  check_refused(with_header(R"({"__metadata__":{"a":1}})", ""), "__metadata__ \"a\" is 1, expected a string");
  for (const char* broken : {"{", "{\"w\"", "{\"w\":}", "{}}", "{\"\xff\":1}", "{'w':1}", "{/**/}", "{\"w\":NaN}"}) {
    INFO(broken);
    const std::string file = with_header(broken, "");
    const std::string message = message_of([&] { reset::SafetensorsView(file.data(), file.size(), "x"); });
    CHECK_THAT(message, Catch::Matchers::StartsWith("x: content is not JSON (") &&
                            Catch::Matchers::EndsWith("), expected a JSON document"));
  }
}

TEST_CASE("a key given twice is refused") {
  const std::string w = entry("\"U8\"", "[1]", "[0,1]");
  check_refused(with_header(R"({"w":)" + w + R"(,"w":)" + w + "}", "x"),
                "JSON key \"w\" is given twice, expected one value a key");
  check_refused(with_header(R"({"w":{"dtype":"U8","dtype":"I8"}})", ""),
                "JSON key \"dtype\" is given twice, expected one value a key");
}

TEST_CASE("nesting that could exhaust the stack is refused") {
  for (const std::size_t depth : {std::size_t{64}, std::size_t{4000000}}) {
    check_refused(with_header(R"({"w":)" + std::string(depth, '['), ""),
                  "JSON nesting is deeper than 64 levels, expected at most 64 levels");
  }
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += R"({"a":)";
  check_refused(with_header(objects, ""), "JSON nesting is deeper than 64 levels, expected at most 64 levels");
}

TEST_CASE("an unknown element type is named") {
  const std::string known =
      "one of F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I16, I8, U64, U32, U16, U8, BOOL, F8_E8M0, "
      "F8_E4M3FNUZ, F8_E5M2FNUZ, F6_E2M3, F6_E3M2, F4, C64";
  check_refused(one("\"F3\"", "[2]", "[0,1]", "x"), "tensor \"w\" dtype is \"F3\", expected " + known);
  check_refused(one("8", "[1]", "[0,1]", "x"), "tensor \"w\" dtype is 8, expected " + known);
}

TEST_CASE("negative, fractional and overflowing extents are refused") {
  const std::string integer = ", expected an integer in 0..9223372036854775807";
  check_refused(one("\"U8\"", "[-1]", "[0,1]", "x"), "tensor \"w\" extent is -1" + integer);
  check_refused(one("\"U8\"", "[1.0]", "[0,1]", "x"), "tensor \"w\" extent is 1.0" + integer);
  check_refused(one("\"U8\"", "[\"1\"]", "[0,1]", "x"), "tensor \"w\" extent is \"1\"" + integer);
  check_refused(one("\"U8\"", "[9223372036854775808]", "[0,1]", "x"),
                "tensor \"w\" extent is 9223372036854775808" + integer);
  check_refused(one("\"U8\"", "1", "[0,1]", "x"), "tensor \"w\" shape is 1, expected an array of extents");
  // 2^32 * 2^32 elements would be 0 bytes in 64 bits; the other two overflow by the size of an element, or beside a 0.
  const std::string fits = ", expected a whole number of bytes below 2^61";
  check_refused(one("\"U8\"", "[4294967296,4294967296]", "[0,0]", ""),
                "tensor \"w\" shape is [4294967296, 4294967296]" + fits);
  check_refused(one("\"F64\"", "[2305843009213693952]", "[0,0]", ""),
                "tensor \"w\" shape is [2305843009213693952]" + fits);
  check_refused(one("\"F4\"", "[4611686018427387904]", "[0,0]", ""),
                "tensor \"w\" shape is [4611686018427387904]" + fits);
  check_refused(one("\"F4\"", "[3]", "[0,2]", "xy"), "tensor \"w\" shape is [3]" + fits);
  check_refused(one("\"F6_E2M3\"", "[2]", "[0,2]", "xy"), "tensor \"w\" shape is [2]" + fits);
  check_refused(one("\"U8\"", "[0,4294967296,4294967296]", "[0,0]", ""),
                "tensor \"w\" shape is [0, 4294967296, 4294967296]" + fits);
}

TEST_CASE("offsets that are no range of the data are refused") {
  const std::string range = ", expected begin <= end <= 4, the bytes of data in the file, which may be cut off";
  check_refused(one("\"U8\"", "[4]", "[0,5]", "data"), "tensor \"w\" data_offsets is [0,5]" + range);
  check_refused(one("\"U8\"", "[4]", "[4,0]", "data"), "tensor \"w\" data_offsets is [4,0]" + range);
  check_refused(one("\"U8\"", "[4]", "[18446744073709551612,18446744073709551615]", "data"),
                "tensor \"w\" data_offsets is [18446744073709551612,18446744073709551615]" + range);
  const std::string pair = ", expected two integers of at least 0";
  check_refused(one("\"U8\"", "[4]", "[-4,0]", "data"), "tensor \"w\" data_offsets is [-4,0]" + pair);
  check_refused(one("\"U8\"", "[4]", "[0,4.0]", "data"), "tensor \"w\" data_offsets is [0,4.0]" + pair);
  check_refused(one("\"U8\"", "[4]", "[0]", "data"), "tensor \"w\" data_offsets is array of 1" + pair);
  check_refused(one("\"U8\"", "[4]", "\"04\"", "data"), "tensor \"w\" data_offsets is \"04\"" + pair);
}

TEST_CASE("data of another size than type and shape say are refused") {
  check_refused(one("\"U8\"", "[3]", "[0,4]", "data"), "tensor \"w\" data is 4 bytes, expected 3 bytes for U8 [3]");
  check_refused(one("\"F32\"", "[4]", "[0,4]", "data"), "tensor \"w\" data is 4 bytes, expected 16 bytes for F32 [4]");
  check_refused(one("\"BF16\"", "[0]", "[0,4]", "data"), "tensor \"w\" data is 4 bytes, expected 0 bytes for BF16 [0]");
  check_refused(one("\"F4\"", "[2,2]", "[0,4]", "data"),
                "tensor \"w\" data is 4 bytes, expected 2 bytes for F4 [2, 2]");
  check_refused(one("\"C64\"", "[1]", "[0,4]", "data"), "tensor \"w\" data is 4 bytes, expected 8 bytes for C64 [1]");
  check_refused(one("\"F64\"", "[]", "[0,4]", "data"), "tensor \"w\" data is 4 bytes, expected 8 bytes for F64 []");
}

TEST_CASE("overlaps, holes and bytes that belong to no tensor are refused") {
  const auto two = [](const std::string& a, const std::string& b, const std::string& data) {
    return with_header(R"({"a":)" + a + R"(,"b":)" + b + "}", data);
  };
  const std::string first = entry("\"U8\"", "[2]", "[0,2]");
  check_refused(two(first, entry("\"U8\"", "[2]", "[1,3]"), "xyz"),
                "tensor \"b\" begin of data_offsets is 1, expected 2, where the tensors before it end");
  check_refused(two(first, first, "xy"),
                "tensor \"b\" begin of data_offsets is 0, expected 2, where the tensors before it end");
  check_refused(two(first, entry("\"U8\"", "[1]", "[3,4]"), "wxyz"),
                "tensor \"b\" begin of data_offsets is 3, expected 2, where the tensors before it end");
  check_refused(two(entry("\"U8\"", "[4]", "[0,4]"), entry("\"U8\"", "[0]", "[2,2]"), "wxyz"),
                "tensor \"b\" begin of data_offsets is 2, expected 4, where the tensors before it end");
  check_refused(two(first, entry("\"U8\"", "[1]", "[2,3]"), "wxyz"),
                "data is 4 bytes, expected 3 bytes, where the last tensor ends");
  check_refused(with_header("{}", "x"), "data is 1 bytes, expected 0 bytes, where the last tensor ends");
  check_refused(one("\"U8\"", "[1]", "[1,2]", "xy"),
                "tensor \"w\" begin of data_offsets is 1, expected 0, where the tensors before it end");
}

TEST_CASE("what is no readable file is refused") {
  const TemporaryFolder folder;
  CHECK(message_of([&] { reset::SafetensorsFile{folder.file("none")}; }) ==
        folder.file("none") + ": cannot open it: No such file or directory");
  CHECK(message_of([&] { reset::SafetensorsFile{folder.path()}; }) ==
        folder.path() + ": it is a folder, expected a regular file");
  const std::string pipe = folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(message_of([&] { reset::SafetensorsFile{pipe}; }) == pipe + ": it is no file, expected a regular file");
}

TEST_CASE("names from a damaged file cannot garble the message") {
  const std::string name = "a\\n" + std::string(500, 'b');
  const std::string file = with_header("{\"" + name + "\":1}", "");
  CHECK(message_of([&] { reset::SafetensorsView(file.data(), file.size(), "x"); }) ==
        "x: tensor \"a\\x0a" + std::string(158, 'b') + "...\" is 1, expected an object with \"dtype\"");
}
