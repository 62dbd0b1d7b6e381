#include <csignal>
#include <cstdio>
#include <limits>

#include <reset/io/checkpoint.hpp>

#include "process.hpp"
#include "small_checkpoint.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using Catch::Matchers::Contains;

namespace {

namespace fs = std::filesystem;

testing::Outcome quantize(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), RESET_QUANTIZE);
  return testing::run(std::move(arguments));
}

// A failed run: exit code 1, one line, nothing left on disk.
void check_refused(const std::vector<std::string>& arguments, const fs::path& folder, const std::string& words) {
  const auto count = [&] { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); };
  const auto before = count();
  const testing::Outcome outcome = quantize(arguments);
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 1);
  CHECK_THAT(outcome.output, Contains(words));
  CHECK_THAT(outcome.output, Contains("quantize: "));
  CHECK(count() == before);
}

void write_model(const fs::path& folder, std::vector<testing::SmallTensor> tensors) {
  fs::create_directory(folder);
  testing::write_file(folder / "model.safetensors", tensors, reset::DType::kF32);
}

// `matrices` layers of [rows, cols] BF16, without holding them in memory.
void write_large(const fs::path& folder, int matrices, std::int64_t rows, std::int64_t cols) {
  fs::create_directory(folder);
  std::vector<reset::TensorSpec> specs;
  for (int i = 0; i < matrices; ++i) {
    specs.push_back({"model.layers." + std::to_string(i) + ".mlp.up_proj.weight", reset::DType::kBF16, {rows, cols}});
  }
  reset::SafetensorsWriter writer((folder / "model.safetensors").string(), specs);
  const auto row = testing::encode(testing::random_weights(cols, 9), reset::DType::kBF16);
  for (const auto& spec : specs) {
    for (std::int64_t r = 0; r < rows; ++r) writer.append(spec.name, row.data(), row.size());
  }
  writer.finish();
}

}  // namespace

TEST_CASE("the tool prints a table with every tensor") {
  const testing::Scratch scratch;
  write_model(scratch / "in", testing::tiny_model());
  const auto outcome = quantize({scratch / "in", scratch / "out", "--rule", "scale-sweep", "--exclude", "*.q_proj"});
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  for (const auto& tensor : testing::tiny_model()) CHECK_THAT(outcome.output, Contains(tensor.name));
  for (const char* words : {"excluded by *lm_head", "excluded by *embed*", "excluded by *.q_proj", "not a matrix",
                            "not the weight of a layer", "K = 20 is not a multiple of 16", "2 tensors", "100 %"}) {
    CHECK_THAT(outcome.output, Contains(words));
  }
  CHECK(outcome.output.find('\x1b') == std::string::npos);  // no terminal, no escape sequences
}

TEST_CASE("a wrong command line is refused") {
  const testing::Scratch scratch;
  const fs::path here = scratch / "";
  check_refused({}, here, "0 paths, expected IN and OUT");
  check_refused({scratch / "in"}, here, "1 paths");
  check_refused({"a", "b", "c"}, here, "3 paths");
  check_refused({"a", "b", "--rule", "best"}, here, "--rule is \"best\", expected one of four-over-six");
  check_refused({"a", "b", "--format", "gguf"}, here, "--format is \"gguf\", expected one of compressed-tensors");
  check_refused({"a", "b", "--rule"}, here, "--rule is the last argument");
  check_refused({"a", "b", "--fast"}, here, "option is \"--fast\"");
  const auto help = quantize({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("usage: quantize"));
}

TEST_CASE("the head is NVFP4 where that is asked for, and its absence told") {
  const testing::Scratch scratch;
  const fs::path here = scratch / "";
  std::vector<testing::SmallTensor> tensors = testing::tiny_model();
  write_model(scratch / "in", tensors);
  for (const char* format : {"modelopt", "compressed-tensors"}) {
    for (const std::string head : {"bf16", "nvfp4"}) {
      const auto outcome = quantize({scratch / "in", scratch / (format + head), "--format", format, "--head", head});
      CAPTURE(format, head, outcome.output);
      REQUIRE(outcome.exit_code == 0);
      const reset::Checkpoint checkpoint = reset::Checkpoint::open(scratch / (format + head));
      CHECK(checkpoint.is_nvfp4("lm_head") == (head == "nvfp4"));
      CHECK(checkpoint.quantization().excludes("lm_head") == (head == "bf16"));
      CHECK_FALSE(checkpoint.is_nvfp4("model.embed_tokens"));
      CHECK(checkpoint.is_nvfp4("model.layers.0.mlp.up_proj"));
    }
  }
  const std::string refusal = "--head is nvfp4, but there is no *lm_head to quantise, expected one with K a multiple";
  check_refused({scratch / "in", scratch / "out", "--head", "fp8"}, here, "--head is \"fp8\", expected one of bf16");
  check_refused({scratch / "in", scratch / "out", "--head", "nvfp4", "--exclude", "lm*"}, here, refusal);
  tensors.pop_back();  // tied to the embedding
  write_model(scratch / "tied", tensors);
  check_refused({scratch / "tied", scratch / "out", "--head", "nvfp4"}, here, refusal);
}

TEST_CASE("nothing is written over") {
  const testing::Scratch scratch;
  const fs::path here = scratch / "";
  write_model(scratch / "in", testing::tiny_model());
  const std::string before = testing::read_text(scratch / "in/model.safetensors");
  fs::create_directory(scratch / "full");
  testing::write_text(scratch / "full/precious", "1");
  testing::write_text(scratch / "file", "1");
  fs::create_directory_symlink(scratch / "in", scratch / "link");
  check_refused({scratch / "in", scratch / "in"}, here, "is the folder of the input");
  check_refused({scratch / "in", scratch / "link"}, here, "is the folder of the input");
  check_refused({scratch / "in/model.safetensors", scratch / "in"}, here, "is the folder of the input");
  check_refused({scratch / "in", scratch / "full"}, here, "is not empty");
  check_refused({scratch / "in", scratch / "file"}, here, "is a file");
  check_refused({scratch / "in", scratch / "no/where"}, here, "does not exist");
  CHECK(testing::read_text(scratch / "in/model.safetensors") == before);
  CHECK(testing::read_text(scratch / "full/precious") == "1");
  fs::create_directory(scratch / "empty");
  CHECK(quantize({scratch / "in", (scratch / "empty").string() + "/"}).exit_code == 0);
  CHECK(fs::exists(scratch / "empty/model.safetensors"));
  fs::create_directory_symlink(scratch / "nowhere", scratch / "dangling");
  check_refused({scratch / "in", scratch / "dangling"}, here, "is a link to nothing");
}

TEST_CASE("a link to an empty folder is filled") {
  const testing::Scratch scratch;
  write_model(scratch / "in", testing::tiny_model());
  fs::create_directory(scratch / "empty");
  fs::create_directory_symlink(scratch / "empty", scratch / "link");
  // From inside the folder, too, whose parent's name is then in no path that is given.
  for (const std::string& out : {std::string(scratch / "link"), std::string(scratch / "link/.")}) {
    const auto outcome = quantize({scratch / "in", out});
    CAPTURE(outcome.output);
    CHECK(outcome.exit_code == 0);
    CHECK(fs::is_symlink(scratch / "link"));
    CHECK(reset::Checkpoint::open(scratch / "link").is_nvfp4("model.layers.0.mlp.up_proj"));
    // The weights and the two configurations, and no folder for them to lie in.
    CHECK(std::distance(fs::directory_iterator(scratch / "empty"), fs::directory_iterator()) == 3);
    fs::remove_all(scratch / "empty");
    fs::create_directory(scratch / "empty");
  }
}

TEST_CASE("an exclusion that readers would take for a quantised layer, too, is refused") {
  const testing::Scratch scratch;
  std::vector<testing::SmallTensor> tensors = testing::tiny_model();
  tensors[2].name = "model.layers.0.odd.inner.weight";  // model.layers.0.odd cannot be quantised
  write_model(scratch / "in", tensors);
  check_refused({scratch / "in", scratch / "out"}, scratch / "", "\"model.layers.0.odd\" is not");
  CHECK(quantize({scratch / "in", scratch / "a", "--exclude", "model.layers.0.odd.inner"}).exit_code == 0);
  CHECK(quantize({scratch / "in", scratch / "b", "--format", "compressed-tensors"}).exit_code == 0);
}

TEST_CASE("input that cannot be quantised is refused and leaves nothing behind") {
  const testing::Scratch scratch;
  const fs::path here = scratch / "";
  const auto refused = [&](const char* words) { check_refused({scratch / "in", scratch / "out"}, here, words); };
  refused("in");
  fs::create_directory(scratch / "in");
  refused("neither model.safetensors nor");
  testing::write_text(scratch / "in/model.safetensors", "not safetensors at all");
  refused("model.safetensors");

  std::vector<testing::SmallTensor> tensors = testing::tiny_model();
  write_model(scratch / "in", {tensors[0], tensors[6], tensors[7]});
  refused("no layer to quantise");
  tensors[2].values[100] = std::numeric_limits<float>::infinity();
  write_model(scratch / "in", tensors);
  refused("model.layers.0.mlp.down_proj.weight");
  tensors[2].values[100] = 1.0F;
  write_model(scratch / "in", tensors);
  testing::write_text(scratch / "in/config.json", "{\"a\": ");
  refused("config.json");
  fs::remove(scratch / "in/config.json");
  CHECK(quantize({scratch / "in", scratch / "out"}).exit_code == 0);
  check_refused({scratch / "out", scratch / "again"}, here, "declares a quantisation");
}

TEST_CASE("a signal ends the tool and leaves nothing behind") {
  const testing::Scratch scratch;
  write_large(scratch / "in", 8, 4096, 1024);
  fs::create_directory(scratch / "empty");
  for (const int signal : {SIGTERM, SIGINT}) {
    for (const char* name : {"out", "empty"}) {  // beside the folder, and in it
      CAPTURE(signal, name);
      const pid_t child = fork();
      if (child == 0) {
        const std::string in = scratch / "in";
        const std::string out = scratch / name;
        if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(126);
        execl(RESET_QUANTIZE, RESET_QUANTIZE, in.c_str(), out.c_str(), "--rule", "scale-sweep", nullptr);
        _exit(127);
      }
      int status = 0;
      const auto is_writing = [&] {
        return std::distance(fs::directory_iterator(scratch / ""), fs::directory_iterator()) > 2 ||
               !fs::is_empty(scratch / "empty");
      };
      while (!is_writing()) REQUIRE(waitpid(child, &status, WNOHANG) == 0);
      kill(child, signal);
      REQUIRE(waitpid(child, &status, 0) == child);
      REQUIRE(WIFSIGNALED(status));
      CHECK(WTERMSIG(status) == signal);
      CHECK(std::distance(fs::directory_iterator(scratch / ""), fs::directory_iterator()) == 2);
      CHECK(fs::is_empty(scratch / "empty"));
    }
  }
}

#if !defined(RESET_TEST_ADDRESS_SANITIZER)  // which keeps freed memory
TEST_CASE("peak memory does not grow with the checkpoint") {
  const testing::Scratch scratch;
  const auto peak = [&](int matrices, std::int64_t rows) {
    write_large(scratch / "in", matrices, rows, 1024);
    const auto outcome = quantize({scratch / "in", scratch / "out"});
    CHECK(outcome.exit_code == 0);
    CHECK(fs::file_size(scratch / "out/model.safetensors") >
          static_cast<std::uintmax_t>(matrices * rows * 1024 * 9 / 16));
    fs::remove_all(scratch / "in");
    fs::remove_all(scratch / "out");
    return outcome.peak_kilobytes;
  };
  const long base = peak(1, 4096);           // 8 MB
  const long many_tensors = peak(8, 4096);   // 64 MB
  const long large_tensor = peak(1, 32768);  // 64 MB
  CAPTURE(base, many_tensors, large_tensor);
  CHECK(many_tensors < base + 4096);
  CHECK(large_tensor < base + 4096);
}
#endif
