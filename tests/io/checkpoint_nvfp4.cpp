#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <reset/io/safetensors_writer.hpp>

#include "io/nvfp4_layer.hpp"
#include "support/catch.hpp"

using io_test::add_modelopt;
using io_test::bytes_of;
using io_test::FileBuilder;
using io_test::Layer;
using io_test::MemoryCheckpoint;
using io_test::product_in;
using reset::CheckpointConvention;
using reset::Nvfp4MatrixView;

namespace {

// How many values of rows first.. of the view are not those of `layer`.
int count_wrong(const Nvfp4MatrixView& view, const Layer& layer, std::int64_t first = 0) {
  int wrong = 0;
  for (std::int64_t row = 0; row < layer.n; ++row) {
    if (view.global.at(first + row).value != layer.global) ++wrong;
    for (std::int64_t col = 0; col < layer.k; ++col) {
      if (product_in(view, first + row, col) != layer.product(row, col)) ++wrong;
    }
  }
  return wrong;
}

bool lies_in(const reset::Nvfp4Weight& weight, const reset::TensorView& tensor) {
  return weight.view().packed == tensor.data;
}

}  // namespace

TEST_CASE("both conventions give the same values, in place") {
  for (const float wanted : {0.001f, 1.0f, 2.7e-5f, 1234.5f, 1e30f}) {
    const auto stored = reset::store_global_scale(CheckpointConvention::kCompressedTensors, {wanted});
    CHECK(std::abs(stored.global.value / wanted - 1.0f) < 2e-7f);
    const Layer layer(3, 48, stored.global.value, 7);
    FileBuilder modelopt, compressed;
    add_modelopt(modelopt, "model.layers.0.mlp.up_proj", layer);
    modelopt.add("model.layers.0.mlp.up_proj.input_scale", "F32", "[1]", bytes_of<float>({0.125f}));
    compressed.add("a", "U8", "[1]", "x");
    compressed.add("model.layers.0.mlp.up_proj.weight_packed", "U8", layer.shape(), layer.packed);
    compressed.add("model.layers.0.mlp.up_proj.weight_scale", "F8_E4M3", layer.scale_shape(), layer.codes);
    compressed.add("model.layers.0.mlp.up_proj.weight_global_scale", "F32", "[1]", bytes_of<float>({stored.on_disk}));
    compressed.add("model.layers.0.mlp.up_proj.input_global_scale", "F32", "[]", bytes_of<float>({8.0f}));
    for (FileBuilder* builder : {&modelopt, &compressed}) {
      const MemoryCheckpoint checkpoint(builder->build());
      const std::string module = "model.layers.0.mlp.up_proj";
      REQUIRE(checkpoint->is_nvfp4(module));
      const reset::Nvfp4Weight weight = checkpoint->nvfp4(module);
      const Nvfp4MatrixView& view = weight.view();
      CHECK(weight.in_place());
      CHECK(lies_in(weight, checkpoint->tensor(module + (builder == &modelopt ? ".weight" : ".weight_packed"))));
      CHECK(view.rows == 3);
      CHECK(view.cols == 48);
      CHECK(view.row_stride == 24);
      CHECK(view.block_scale.layout == reset::ScaleLayout::kLinear);
      CHECK(view.block_scale.data == checkpoint->tensor(module + ".weight_scale").data);
      CHECK(view.global.count == 1);
      CHECK(count_wrong(view, layer) == 0);
      REQUIRE(weight.input_scales().size() == 1);
      CHECK(weight.input_scales()[0].value == 0.125f);
    }
  }
}

TEST_CASE("the reciprocal of a stored global scale is correctly rounded") {
  int wrong = 0;
  std::uint32_t seed = 1;
  for (int i = 0; i < 100000; ++i) {
    seed = seed * 1664525 + 1013904223;
    const float d = reset::detail::float_from_bits(0x02000000u + seed % 0x7a000000u);
    const float r = reset::global_scale_from_disk(CheckpointConvention::kCompressedTensors, d).value;
    // Products of two floats are exact in double.
    const auto error = [d](float x) { return std::abs(static_cast<double>(x) * static_cast<double>(d) - 1.0); };
    const std::uint32_t bits = reset::detail::bits_of(r);
    if (error(r) > error(reset::detail::float_from_bits(bits + 1))) ++wrong;
    if (error(r) > error(reset::detail::float_from_bits(bits - 1))) ++wrong;
    if (reset::global_scale_from_disk(CheckpointConvention::kModelOpt, d).value != d) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("fused layers that follow each other are one view in place") {
  const Layer q(4, 32, 0.5f, 1), k(1, 32, 0.25f, 2), v(2, 32, 3.0f, 3);
  FileBuilder builder;
  builder.add("pad", "U8", "[1]", "x");
  for (const auto& [name, layer] : {std::pair("q", &q), {"k", &k}, {"v", &v}}) {
    builder.add(name + std::string(".weight"), "U8", layer->shape(), layer->packed);
  }
  for (const auto& [name, layer] : {std::pair("q", &q), {"k", &k}, {"v", &v}}) {
    builder.add(name + std::string(".weight_scale"), "F8_E4M3", layer->scale_shape(), layer->codes);
  }
  for (const auto& [name, layer] : {std::pair("q", &q), {"k", &k}, {"v", &v}}) {
    builder.add(name + std::string(".weight_scale_2"), "F32", "[1]", bytes_of<float>({layer->global}));
  }
  const MemoryCheckpoint checkpoint(builder.build());
  const reset::Nvfp4Weight weight = checkpoint->nvfp4_fused({"q", "k", "v"});
  CHECK(weight.in_place());
  CHECK(lies_in(weight, checkpoint->tensor("q.weight")));
  CHECK(weight.view().rows == 7);
  CHECK(weight.view().global.count == 3);
  CHECK(weight.input_scales().empty());
  CHECK(count_wrong(weight.view(), q, 0) == 0);
  CHECK(count_wrong(weight.view(), k, 4) == 0);
  CHECK(count_wrong(weight.view(), v, 5) == 0);

  // In another order they do not follow each other.
  const reset::Nvfp4Weight turned = checkpoint->nvfp4_fused({"v", "q"});
  CHECK_FALSE(turned.in_place());
  CHECK(count_wrong(turned.view(), v, 0) == 0);
  CHECK(count_wrong(turned.view(), q, 2) == 0);
}

TEST_CASE("fused layers that lie apart are copied together") {
  const Layer gate(3, 16, 0.5f, 4), up(2, 16, 0.75f, 5);
  FileBuilder builder;
  add_modelopt(builder, "gate", gate);
  builder.add("gate.input_scale", "F32", "[]", bytes_of<float>({2.0f}));
  add_modelopt(builder, "up", up);
  builder.add("up.input_scale", "F32", "[]", bytes_of<float>({4.0f}));
  std::optional<reset::Nvfp4Weight> copy;
  {
    const MemoryCheckpoint checkpoint(builder.build());
    const reset::Nvfp4Weight weight = checkpoint->nvfp4_fused({"gate", "up"});
    CHECK_FALSE(weight.in_place());
    copy = weight;
  }
  // The copies belong to the weight, not to the checkpoint.
  CHECK(copy->view().rows == 5);
  CHECK(count_wrong(copy->view(), gate, 0) == 0);
  CHECK(count_wrong(copy->view(), up, 3) == 0);
  REQUIRE(copy->input_scales().size() == 2);
  CHECK(copy->input_scales()[0].value == 2.0f);
  CHECK(copy->input_scales()[1].value == 4.0f);
}

TEST_CASE("one tensor may hold several parts with a global scale each") {
  Layer whole(6, 16, 0.5f, 9);
  FileBuilder builder;
  builder.add("qkv.weight", "U8", whole.shape(), whole.packed);
  builder.add("qkv.weight_scale", "F8_E4M3", whole.scale_shape(), whole.codes);
  builder.add("qkv.weight_scale_2", "F32", "[3]", bytes_of<float>({0.5f, 0.25f, 2.0f}));
  builder.add("qkv.input_scale", "F32", "[1]", bytes_of<float>({3.0f}));
  const MemoryCheckpoint checkpoint(builder.build());
  const reset::Nvfp4Weight weight = checkpoint->nvfp4("qkv", {3, 1, 2});
  CHECK(weight.in_place());
  const std::vector<float> expected = {0.5f, 0.5f, 0.5f, 0.25f, 2.0f, 2.0f};
  for (std::int64_t row = 0; row < 6; ++row) {
    CHECK(weight.view().global.at(row).value == expected[static_cast<std::size_t>(row)]);
    CHECK(product_in(weight.view(), row, 5) == whole.product(row, 5));
  }
  CHECK(weight.input_scales().size() == 3);

  const std::string start = "m.safetensors: tensor \"qkv.weight\" rows of its parts is ";
  const std::string end = ", expected 1..4 positive numbers that add up to 6";
  CHECK(io_test::message_of([&] { checkpoint->nvfp4("qkv", {3, 1, 3}); }) == start + "[3, 1, 3]" + end);
  CHECK(io_test::message_of([&] { checkpoint->nvfp4("qkv", {-1, 1, 6}); }) == start + "[-1, 1, 6]" + end);
  CHECK(io_test::message_of([&] {
          checkpoint->nvfp4("qkv", {INT64_MAX, INT64_MAX, 8});
        }) == start + "[9223372036854775807, 9223372036854775807, 8]" + end);
  CHECK(io_test::message_of([&] { checkpoint->nvfp4("qkv"); }) ==
        "m.safetensors: tensor \"qkv.weight_scale_2\" shape is [3], expected [] or [1] (a layer of fused parts is read "
        "with the rows of each)");
  CHECK(io_test::message_of([&] {
          checkpoint->nvfp4("qkv", {3, 3});
        }) == "m.safetensors: tensor \"qkv.weight_scale_2\" shape is [3], expected [], [1] or [2], one for each part");
}

TEST_CASE("a weight keeps its file mapped") {
  const io_test::TemporaryFolder folder;
  const Layer layer(2, 32, 0.5f, 11);
  FileBuilder builder;
  add_modelopt(builder, "w", layer);
  const std::string path = folder.write("x.safetensors", builder.build());
  const reset::Nvfp4Weight weight = reset::Checkpoint::open(path).nvfp4("w");
  CHECK(weight.in_place());
  CHECK(count_wrong(weight.view(), layer) == 0);
}

TEST_CASE("what a writer declares is what the reader reads") {
  for (const auto convention : {CheckpointConvention::kModelOpt, CheckpointConvention::kCompressedTensors}) {
    const io_test::TemporaryFolder folder;
    const std::string path = folder.file("model.safetensors");
    const auto stored = reset::store_global_scale(convention, {0.0123f});
    const Layer layer(5, 48, stored.global.value, 13);
    const std::vector<reset::TensorSpec> specs = reset::nvfp4_tensor_specs(convention, "m.q_proj", 5, 48);
    reset::SafetensorsWriter writer(path, specs);
    writer.append(specs[0].name, layer.packed.data(), layer.packed.size());
    writer.append(specs[1].name, layer.codes.data(), layer.codes.size());
    writer.append(specs[2].name, &stored.on_disk, sizeof stored.on_disk);
    writer.finish();
    folder.write("config.json",
                 "{\"quantization_config\":" + reset::quantization_config_json(convention, {"lm_head"}).dump() + "}");
    const reset::Checkpoint checkpoint = reset::Checkpoint::open(folder.path());
    CHECK(checkpoint.quantization().convention() == convention);
    const reset::Nvfp4Weight loaded = checkpoint.nvfp4("m.q_proj");
    CHECK(count_wrong(loaded.view(), layer) == 0);
  }
  CHECK(io_test::message_of([] { reset::nvfp4_tensor_specs(CheckpointConvention::kModelOpt, "w", 4, 24); }) ==
        "w: K is 24, expected a positive multiple of 16");
  CHECK(io_test::message_of([] { reset::nvfp4_tensor_specs(CheckpointConvention::kModelOpt, "w", 0, 16); }) ==
        "w: N is 0, expected at least 1");
}
