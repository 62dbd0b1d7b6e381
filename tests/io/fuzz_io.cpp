// libFuzzer target of the readers of files. The first byte chooses the reader:
//   s  a safetensors file, byte for byte
//   c  a checkpoint: one line of config.json, one line of safetensors header, the rest is tensor data
//   q  a config.json
//   i  a model.safetensors.index.json
//   t  a tokenizer.json
// A reader may throw reset::Error and nothing else; whatever it accepts is read to the last byte.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <reset/io/checkpoint.hpp>
#include <reset/io/tokenizer.hpp>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A copy of its own: AddressSanitizer sees the first byte read past its end.
std::unique_ptr<char[]> copy_of(std::string_view bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return copy;
}

unsigned sum_of(const std::uint8_t* data, std::size_t bytes) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < bytes; ++i) sum += data[i];
  return sum;
}

void read_tensors(const reset::SafetensorsView& view) {
  volatile unsigned sum = 0;
  for (const auto& [name, tensor] : view.tensors()) {
    require(tensor.name == name && view.contains(name));
    sum = sum + sum_of(tensor.data, tensor.bytes);
    std::vector<float> values(static_cast<std::size_t>(tensor.size()));
    try {
      reset::read_floats(tensor, 0, tensor.size(), values.data());
    } catch (const reset::Error&) {
    }
  }
}

void fuzz_safetensors(std::string_view input) {
  const auto copy = copy_of(input);
  read_tensors(reset::SafetensorsView(copy.get(), input.size(), "fuzz.safetensors"));
}

void read_weight(const reset::Nvfp4Weight& weight) {
  const reset::Nvfp4MatrixView& view = weight.view();
  require(reset::validate(view).ok());
  volatile unsigned sum = 0;
  for (std::int64_t row = 0; row < view.rows; ++row) {
    sum = sum + sum_of(view.packed + row * view.row_stride, static_cast<std::size_t>(view.cols / 2));
    for (std::int64_t block = 0; block < view.blocks(); ++block) {
      require(view.block_scale.data[view.block_scale.offset(row, block)] < 0x7f);
    }
    require(reset::is_valid(view.global.at(row)));
  }
  for (const reset::GlobalScale scale : weight.input_scales()) require(reset::is_valid(scale));
}

template <class Load>
void try_read_weight(Load load) {
  try {
    read_weight(load());
  } catch (const reset::Error&) {
  }
}

void read_layers(const reset::Checkpoint& checkpoint) {
  std::vector<std::string> modules;
  for (const std::string& name : checkpoint.names()) {
    const std::string module = name.substr(0, name.rfind('.'));
    if (modules.empty() || modules.back() != module) modules.push_back(module);
  }
  for (const std::string& module : modules) {
    if (!checkpoint.is_nvfp4(module)) continue;
    try_read_weight([&] { return checkpoint.nvfp4(module); });
    try_read_weight([&] { return checkpoint.nvfp4(module, {1, 1}); });
    try_read_weight([&] { return checkpoint.nvfp4(module, {1, 2, 1}); });
  }
  if (modules.size() > 4) modules.resize(4);
  try_read_weight([&] { return checkpoint.nvfp4_fused(modules); });
  checkpoint.ignored();
}

std::string_view take_line(std::string_view& input) {
  const std::string_view line = input.substr(0, input.find('\n'));
  input.remove_prefix(std::min(line.size() + 1, input.size()));
  return line;
}

void fuzz_checkpoint(std::string_view input) {
  const std::string_view config = take_line(input);
  const std::string_view header = take_line(input);
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  file.append(header).append(input);
  const auto copy = copy_of(file);
  const auto view = std::make_shared<const reset::SafetensorsView>(copy.get(), file.size(), "fuzz.safetensors");
  read_tensors(*view);
  read_layers(reset::Checkpoint({view}, reset::QuantizationConfig::parse(config, "config.json")));
}

void fuzz_config(std::string_view input) {
  const auto config = reset::QuantizationConfig::parse(input, "config.json");
  for (const char* module :
       {"lm_head", "model.layers.0.self_attn.q_proj", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", ""}) {
    config.excludes(module);
  }
  require(config.declared() || config.exclusions().empty());
}

void fuzz_index(std::string_view input) {
  for (const auto& [tensor, shard] : reset::detail::parse_weight_map(input, "index.json")) {
    require(shard.find('/') == std::string::npos && shard != "..");
  }
}

void fuzz_tokenizer(std::string_view input) {
  const reset::Tokenizer tokenizer = reset::parse_tokenizer(input, "tokenizer.json");
  require(tokenizer.vocabulary.validate().ok());
  for (const auto& [text, id] : tokenizer.added_tokens) {
    require(tokenizer.vocabulary.bytes.at(static_cast<std::size_t>(id)) == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0]) {
      case 's':
        fuzz_safetensors(input);
        break;
      case 'c':
        fuzz_checkpoint(input);
        break;
      case 'q':
        fuzz_config(input);
        break;
      case 'i':
        fuzz_index(input);
        break;
      case 't':
        fuzz_tokenizer(input);
        break;
      default:
        break;
    }
  } catch (const reset::Error&) {
  }
  return 0;
}
