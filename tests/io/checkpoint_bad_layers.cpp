// Every way in which the tensors of an NVFP4 layer can be wrong: an error that names file, tensor, finding,
// expectation.
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "io/nvfp4_layer.hpp"
#include "support/catch.hpp"

using io_test::bytes_of;
using io_test::FileBuilder;
using io_test::Layer;
using io_test::MemoryCheckpoint;
using io_test::message_of;

namespace {

struct Tensor {
  std::string dtype;
  std::string shape;
  std::string bytes;
};

// A sound layer of 2 x 32 of which a test changes one tensor; an empty dtype leaves it out.
struct Parts {
  Layer layer{2, 32, 0.5f, 3};
  Tensor weight{"U8", layer.shape(), layer.packed};
  Tensor weight_scale{"F8_E4M3", layer.scale_shape(), layer.codes};
  Tensor weight_scale_2{"F32", "[]", bytes_of<float>({0.5f})};
  Tensor input_scale{};
  Tensor pre_quant_scale{};

  std::string build(const std::string& module = "w") const {
    FileBuilder builder;
    for (const auto& [name, tensor] : {std::pair("weight", &weight),
                                       {"weight_scale", &weight_scale},
                                       {"weight_scale_2", &weight_scale_2},
                                       {"input_scale", &input_scale},
                                       {"pre_quant_scale", &pre_quant_scale}}) {
      if (!tensor->dtype.empty()) builder.add(module + "." + name, tensor->dtype, tensor->shape, tensor->bytes);
    }
    return builder.build();
  }
};

std::string message_for(const Parts& parts) {
  const MemoryCheckpoint checkpoint(parts.build());
  CHECK(checkpoint->is_nvfp4("w"));
  const std::string message = message_of([&] { checkpoint->nvfp4("w"); });
  CHECK(message_of([&] { checkpoint->nvfp4_fused({"w"}); }) == message);
  return message;
}

const std::string kFile = "m.safetensors: tensor ";

}  // namespace

TEST_CASE("the layer these are variations of is sound") { CHECK(message_for(Parts()).empty()); }

TEST_CASE("a missing scale is named") {
  Parts parts;
  parts.weight_scale = {};
  CHECK(message_for(parts) == kFile + "\"w.weight_scale\" is missing, expected one beside \"w.weight\"");
  parts = Parts();
  parts.weight_scale_2 = {};
  CHECK(message_for(parts) == kFile + "\"w.weight_scale_2\" is missing, expected one beside \"w.weight\"");
}

TEST_CASE("wrong element types are named") {
  Parts parts;
  parts.weight.dtype = "I8";
  CHECK(message_for(parts) == kFile + "\"w.weight\" dtype is I8, expected U8");
  parts = Parts();
  parts.weight_scale.dtype = "F8_E5M2";
  CHECK(message_for(parts) == kFile + "\"w.weight_scale\" dtype is F8_E5M2, expected F8_E4M3");
  parts = Parts();
  parts.weight_scale_2 = {"BF16", "[]", "xx"};
  CHECK(message_for(parts) == kFile + "\"w.weight_scale_2\" dtype is BF16, expected F32");
  parts = Parts();
  parts.input_scale = {"F64", "[]", "xxxxxxxx"};
  CHECK(message_for(parts) == kFile + "\"w.input_scale\" dtype is F64, expected F32");
}

TEST_CASE("wrong shapes are named") {
  Parts parts;
  parts.weight.shape = "[32]";
  const std::string extents = "expected [N, K/2] with N, K in 1..2^31-1";
  CHECK(message_for(parts) == kFile + "\"w.weight\" shape is [32], " + extents);
  parts.weight = {"U8", "[0,16]", ""};
  CHECK(message_for(parts) == kFile + "\"w.weight\" shape is [0, 16], " + extents);
  parts.weight = {"U8", "[2,0]", ""};
  CHECK(message_for(parts) == kFile + "\"w.weight\" shape is [2, 0], " + extents);
  parts.weight = {"U8", "[2,12]", std::string(24, 'x')};
  CHECK(message_for(parts) == kFile + "\"w.weight\" shape is [2, 12], expected [N, K/2] with K a multiple of 16");
  parts = Parts();
  for (const char* shape : {"[4]", "[4,1]", "[1,4]", "[2,2,1]"}) {
    parts.weight_scale.shape = shape;
    CHECK_THAT(message_for(parts), Catch::Matchers::StartsWith(kFile + "\"w.weight_scale\" shape is [") &&
                                       Catch::Matchers::EndsWith("expected [2, 2] beside \"w.weight\" of [2, 16]"));
  }
  parts = Parts();
  parts.weight_scale_2 = {"F32", "[0]", ""};
  const std::string single = "expected [] or [1] (a layer of fused parts is read with the rows of each)";
  CHECK(message_for(parts) == kFile + "\"w.weight_scale_2\" shape is [0], " + single);
  parts.weight_scale_2 = {"F32", "[1,1]", "xxxx"};
  CHECK(message_for(parts) == kFile + "\"w.weight_scale_2\" shape is [1, 1], " + single);
}

TEST_CASE("global scales that are no positive, normal number are refused") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<std::uint32_t, std::string>> bad = {
      {0x7fc00000u, "NaN"}, {0xffffffffu, "NaN"}, {0x7f800000u, "inf"}, {0xff800000u, "-inf"},
      {0x00000000u, "0"},   {0x80000000u, "-0"},  {0xbf800000u, "-1"},  {0x00000001u, "1.40129846e-45"}};
  CHECK(reset::detail::bits_of(kInfinity) == 0x7f800000u);
  for (const auto& [bits, text] : bad) {
    const std::string end =
        " is " + text + ", expected positive, finite and normal, and its reciprocal too where it divides";
    Parts parts;
    parts.weight_scale_2.bytes = bytes_of<std::uint32_t>({bits});
    CHECK(message_for(parts) == kFile + "\"w.weight_scale_2\"" + end);
    parts = Parts();
    parts.input_scale = {"F32", "[1]", bytes_of<std::uint32_t>({bits})};
    CHECK(message_for(parts) == kFile + "\"w.input_scale\"" + end);

    FileBuilder compressed;
    compressed.add("w.weight_packed", "U8", parts.weight.shape, parts.weight.bytes);
    compressed.add("w.weight_scale", "F8_E4M3", parts.weight_scale.shape, parts.weight_scale.bytes);
    compressed.add("w.weight_global_scale", "F32", "[1]", bytes_of<std::uint32_t>({bits}));
    const MemoryCheckpoint checkpoint(compressed.build());
    CHECK(message_of([&] { checkpoint->nvfp4("w"); }) == kFile + "\"w.weight_global_scale\"" + end);
  }
}

TEST_CASE("a block scale that is negative or NaN is found wherever it is") {
  for (const unsigned code : {0x7fu, 0x80u, 0x81u, 0xb8u, 0xfeu, 0xffu}) {
    for (std::size_t index = 0; index < 4; ++index) {
      Parts parts;
      parts.weight_scale.bytes[index] = static_cast<char>(code);
      CHECK(message_for(parts) == kFile + "\"w.weight_scale\" scale of row " + std::to_string(index / 2) + ", block " +
                                      std::to_string(index % 2) + " is E4M3 code " + std::to_string(code) +
                                      ", expected a code in 0..126, neither negative nor NaN");
    }
  }
}

TEST_CASE("AWQ is refused") {
  Parts parts;
  parts.pre_quant_scale = {"BF16", "[32]", std::string(64, 'x')};
  CHECK(message_for(parts) ==
        kFile +
            "\"w.pre_quant_scale\" is present, expected a layer without AWQ's scaling of the activations, which this "
            "library does not apply");
}

TEST_CASE("layers that are not NVFP4 are told apart") {
  FileBuilder builder;
  builder.add("norm.weight", "BF16", "[1]", "xx");
  const MemoryCheckpoint checkpoint(builder.build());
  CHECK_FALSE(checkpoint->is_nvfp4("norm"));
  CHECK_FALSE(checkpoint->is_nvfp4("nothing"));
  CHECK(message_of([&] { checkpoint->nvfp4("norm"); }) ==
        "m.safetensors: layer \"norm\" is BF16, expected NVFP4, which is stored as U8; `is_nvfp4` tells of "
        "each layer, and `tensor` reads the others");
  CHECK(message_of([&] { checkpoint->nvfp4("nothing"); }) ==
        "m.safetensors: layer \"nothing\" is missing, expected a module, which is the name of its weight without "
        ".weight or "
        ".weight_packed");
}

TEST_CASE("an excluded layer must not be quantised") {
  const auto config = io_test::config_of(R"({"quant_algo":"NVFP4","ignore":["model.layers.1*"]})");
  const MemoryCheckpoint checkpoint(Parts().build("model.layers.1.mlp.up_proj"), config);
  CHECK(message_of([&] { checkpoint->nvfp4("model.layers.1.mlp.up_proj"); }) ==
        kFile +
            "\"model.layers.1.mlp.up_proj.weight\" is quantised, expected no quantised weights, since config.json "
            "excludes the layer");
  const MemoryCheckpoint other(Parts().build("model.layers.2.mlp.up_proj"), config);
  CHECK_NOTHROW(other->nvfp4("model.layers.2.mlp.up_proj"));
  // Its packed weights say what an expression that is not understood cannot.
  const MemoryCheckpoint unclear(Parts().build("model.layers.2.mlp.up_proj"),
                                 io_test::config_of(R"j({"quant_algo":"NVFP4","ignore":["re:(?!x)"]})j"));
  CHECK_NOTHROW(unclear->nvfp4("model.layers.2.mlp.up_proj"));
}

TEST_CASE("a checkpoint that declares another quantisation is not read as NVFP4") {
  const MemoryCheckpoint fp8(Parts().build(), io_test::config_of(R"({"quant_algo":"FP8"})"));
  CHECK_FALSE(fp8->is_nvfp4("w"));
  CHECK(message_of([&] { fp8->nvfp4("w"); }) == "config.json: declared quantisation is \"FP8\", expected NVFP4");
  const MemoryCheckpoint compressed(
      Parts().build(), io_test::config_of(R"({"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized"})"));
  CHECK(message_of([&] { compressed->nvfp4("w"); }) ==
        "m.safetensors: layer \"w\" is stored as by ModelOpt, expected the convention that config.json declares");
}

TEST_CASE("layers that cannot be fused are refused") {
  const Layer a(2, 32, 0.5f, 1), b(2, 48, 0.5f, 2), c(1, 32, 0.5f, 3);
  FileBuilder builder;
  io_test::add_modelopt(builder, "a", a);
  io_test::add_modelopt(builder, "b", b);
  io_test::add_modelopt(builder, "c", c);
  builder.add("c.input_scale", "F32", "[]", bytes_of<float>({1.0f}));
  const MemoryCheckpoint checkpoint(builder.build());
  CHECK(message_of([&] {
          checkpoint->nvfp4_fused({"a", "b"});
        }) == kFile + "\"b.weight\" shape is [2, 24], expected the same K as \"a.weight\" of [2, 16]");
  CHECK(message_of([&] {
          checkpoint->nvfp4_fused({"a", "c"});
        }) == kFile + "\"c.weight\" input scale is present, expected the same as for \"a.weight\"");
  CHECK(message_of([&] {
          checkpoint->nvfp4_fused({"c", "a"});
        }) == kFile + "\"a.weight\" input scale is missing, expected the same as for \"c.weight\"");
  CHECK(message_of([&] { checkpoint->nvfp4_fused({}); }) ==
        "m.safetensors: number of fused layers is 0, expected 1..4");
  CHECK(message_of([&] {
          checkpoint->nvfp4_fused({"a", "a", "a", "a", "a"});
        }) == "m.safetensors: number of fused layers is 5, expected 1..4");
}
