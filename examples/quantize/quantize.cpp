#include "quantize.hpp"

#include <map>
#include <string>

#include <reset/io/checkpoint.hpp>
#include <reset/io/safetensors_writer.hpp>

#include "convert.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "plan.hpp"
#include "report.hpp"

namespace quantize {
namespace {

constexpr const char* kSingleFile = "model.safetensors";

// What the index of a sharded checkpoint says.
struct Index {
  std::map<std::string, std::string> weight_map;
  std::uint64_t bytes = 0;

  void add(const std::vector<reset::TensorSpec>& specs, const std::string& file) {
    for (const reset::TensorSpec& spec : specs) {
      weight_map[spec.name] = file;
      std::uint64_t size = reset::dtype_size(spec.dtype);
      for (const std::int64_t extent : spec.shape) size *= static_cast<std::uint64_t>(extent);
      bytes += size;
    }
  }
};

void write_shard(const PlannedShard& shard, const std::filesystem::path& folder, Converter& converter,
                 ProgressBar& progress, Index& index, std::vector<Outcome>& outcomes) {
  std::vector<reset::TensorSpec> specs;
  for (const PlannedTensor& planned : shard.tensors) {
    for (reset::TensorSpec& spec : converter.specs(planned)) specs.push_back(std::move(spec));
  }
  index.add(specs, shard.file_name);
  reset::SafetensorsWriter writer((folder / shard.file_name).string(), specs, {{"format", "pt"}});
  for (const PlannedTensor& planned : shard.tensors) {
    progress.set_name(planned.tensor->name);
    Outcome outcome{&planned, {}};
    if (planned.quantised()) {
      outcome.energy = converter.quantise(planned, writer);
    } else {
      converter.copy(planned, writer);
    }
    outcomes.push_back(outcome);
  }
  writer.finish();
}

}  // namespace

void run(const Options& options) {
  const reset::Checkpoint checkpoint = reset::Checkpoint::open(options.input.string());
  const Plan plan = make_plan(checkpoint, options);
  const nlohmann::ordered_json config = make_config(options, plan);
  StagedFolder folder(options.output, options.input);
  Index index;
  std::vector<Outcome> outcomes;
  {
    ProgressBar progress(plan.bytes);
    Converter converter(options, [&](std::uint64_t bytes) {
      throw_if_interrupted();
      progress.advance(bytes);
    });
    for (const PlannedShard& shard : plan.shards) {
      write_shard(shard, folder.path(), converter, progress, index, outcomes);
    }
  }
  if (plan.shards.size() > 1 || plan.shards.front().file_name != kSingleFile) {
    write_json(folder.path() / "model.safetensors.index.json",
               {{"metadata", {{"total_size", index.bytes}}}, {"weight_map", index.weight_map}});
  }
  write_companions(options, plan, config, folder.path());
  folder.commit();
  print_table(outcomes, plan.bytes, index.bytes);
}

}  // namespace quantize
