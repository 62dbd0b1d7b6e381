// Which files a checkpoint is made of, and everything that can be wrong with that.
#include <filesystem>
#include <string>
#include <vector>

#include <reset/io/checkpoint.hpp>

#include "io/nvfp4_layer.hpp"
#include "support/catch.hpp"

using io_test::bytes_of;
using io_test::FileBuilder;
using io_test::message_of;
using io_test::TemporaryFolder;
using reset::Checkpoint;

namespace {

std::string file_of(const std::string& tensor, float value) {
  return FileBuilder().add(tensor, "F32", "[1]", bytes_of<float>({value})).build();
}

float first_of(const Checkpoint& checkpoint, const std::string& name) {
  float value = -7.0f;
  reset::read_floats(checkpoint.tensor(name), 0, 1, &value);
  return value;
}

constexpr const char* kIndex = "model.safetensors.index.json";

}  // namespace

TEST_CASE("a single file, by its own name or in a folder") {
  const TemporaryFolder folder;
  const std::string path = folder.write("model.safetensors", file_of("a", 2.0f));
  for (const std::string& opened : {path, folder.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(opened);
    CHECK(checkpoint.names() == std::vector<std::string>{"a"});
    CHECK(checkpoint.contains("a"));
    CHECK_FALSE(checkpoint.contains("b"));
    CHECK(first_of(checkpoint, "a") == 2.0f);
    CHECK(checkpoint.tensor("a").file == path);
    CHECK_FALSE(checkpoint.quantization().declared());
    CHECK(message_of([&] { checkpoint.tensor("b"); }) ==
          path + ": tensor \"b\" is missing, expected a tensor of that name");
  }
}

TEST_CASE("a checkpoint in several files") {
  const TemporaryFolder folder;
  folder.write(
      "one.safetensors",
      FileBuilder().add("a", "F32", "[]", bytes_of<float>({1})).add("c", "F32", "[]", bytes_of<float>({3})).build());
  folder.write("two.safetensors", file_of("b", 2.0f));
  folder.write(kIndex, R"({"metadata":{"total_size":12},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  Checkpoint checkpoint = Checkpoint::open(folder.path());
  // What the index does not list is left out.
  CHECK(checkpoint.names() == std::vector<std::string>{"a", "b"});
  const Checkpoint copy = checkpoint;
  checkpoint = Checkpoint::open(folder.file("two.safetensors"));
  CHECK(first_of(copy, "a") == 1.0f);
  CHECK(first_of(copy, "b") == 2.0f);
  CHECK(copy.tensor("b").file == folder.file("two.safetensors"));
}

TEST_CASE("a whole file is preferred to an index") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", file_of("a", 5.0f));
  folder.write("old.safetensors", file_of("a", 1.0f));
  folder.write(kIndex, R"({"weight_map":{"a":"old.safetensors"}})");
  CHECK(first_of(Checkpoint::open(folder.path()), "a") == 5.0f);
}

TEST_CASE("an index that does not agree with the files is refused") {
  const TemporaryFolder folder;
  folder.write("one.safetensors", file_of("a", 1.0f));
  const auto message = [&](const std::string& index) {
    folder.write(kIndex, index);
    return message_of([&] { Checkpoint::open(folder.path()); });
  };
  const std::string name = folder.file(kIndex);
  CHECK(message(R"({"weight_map":{"b":"one.safetensors"}})") ==
        folder.file("one.safetensors") + ": tensor \"b\" is missing, expected a tensor of that name");
  CHECK(message(R"({"weight_map":{"a":"two.safetensors"}})") ==
        name + ": file \"two.safetensors\" of tensor \"a\" is missing, expected a file in the same folder");
  CHECK(message("{}") == name + ": weight_map is missing, expected an object of file names");
  CHECK(message(R"({"weight_map":[]})") == name + ": weight_map is array of 0, expected an object of file names");
  CHECK_THAT(message("{"), Catch::Matchers::StartsWith(name + ": content is not JSON ("));
  CHECK(message(R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})") ==
        name + ": JSON key \"a\" is given twice, expected one value a key");
}

TEST_CASE("an index cannot lead out of its folder") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.file("inner"));
  folder.write("secret.safetensors", file_of("a", 1.0f));
  for (const std::string shard :
       {"../secret.safetensors", "..", ".", "", "/etc/passwd", "inner/x", "a\\\\b", "a\\u0000b"}) {
    INFO(shard);
    folder.write(std::string("inner/") + kIndex, R"({"weight_map":{"a":")" + shard + R"("}})");
    const std::string message = message_of([&] { Checkpoint::open(folder.file("inner")); });
    CHECK_THAT(message, Catch::Matchers::StartsWith(folder.file("inner/") + kIndex + ": weight_map \"a\" is \"") &&
                            Catch::Matchers::EndsWith("\", expected the name of a file in the same folder"));
  }
  folder.write(std::string("inner/") + kIndex, R"({"weight_map":{"a":3}})");
  CHECK(message_of([&] { Checkpoint::open(folder.file("inner")); }) ==
        folder.file("inner/") + kIndex + ": weight_map \"a\" is 3, expected the name of a file in the same folder");
}

TEST_CASE("places without a checkpoint are refused") {
  const TemporaryFolder folder;
  CHECK(message_of([&] { Checkpoint::open(folder.path()); }) ==
        folder.path() + ": neither model.safetensors nor model.safetensors.index.json is there");
  CHECK(message_of([&] { Checkpoint::open(folder.file("none")); }) ==
        folder.file("none") + ": cannot open it: No such file or directory");
}

TEST_CASE("the configuration beside the tensors is read, config.json first") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", file_of("a", 1.0f));
  folder.write("hf_quant_config.json", R"({"quantization":{"quant_algo":"NVFP4","exclude_modules":["from_hf"]}})");
  CHECK(Checkpoint::open(folder.path()).quantization().excludes("from_hf"));
  folder.write("config.json", R"({"hidden_size":8})");
  CHECK(Checkpoint::open(folder.path()).quantization().excludes("from_hf"));
  folder.write("config.json", R"({"quantization_config":{"quant_algo":"NVFP4","ignore":["from_config"]}})");
  for (const std::string& path : {folder.path(), folder.file("model.safetensors")}) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    CHECK(checkpoint.quantization().exclusions() == std::vector<std::string>{"from_config"});
  }
  folder.write("config.json", R"({"quantization_config":{"quant_algo":"NVFP4","group_size":32}})");
  CHECK(message_of([&] { Checkpoint::open(folder.path()); }) ==
        folder.file("config.json") + ": quantization group_size is 32, expected 16");
}

TEST_CASE("scales of the KV cache are reported as ignored") {
  FileBuilder builder;
  for (const char* name : {"l.0.self_attn.k_proj.k_scale", "l.0.self_attn.v_scale", "l.0.self_attn.k_proj.weight_scale",
                           "v_scale", "k_scale.weight"}) {
    builder.add(name, "F32", "[]", bytes_of<float>({1}));
  }
  const io_test::MemoryCheckpoint checkpoint(builder.build());
  CHECK(checkpoint->ignored() ==
        std::vector<std::string>{"l.0.self_attn.k_proj.k_scale", "l.0.self_attn.v_scale", "v_scale"});
}

TEST_CASE("a tensor in two files of one checkpoint is refused") {
  const std::string file = file_of("a", 1.0f);
  const auto first = std::make_shared<const reset::SafetensorsView>(file.data(), file.size(), "first");
  const auto second = std::make_shared<const reset::SafetensorsView>(file.data(), file.size(), "second");
  CHECK(message_of([&] {
          Checkpoint({first, second}, {});
        }) == "second: tensor \"a\" is also in first, expected a tensor in one file only");
}
