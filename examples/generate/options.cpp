#include "options.hpp"

#include <functional>
#include <limits>
#include <map>
#include <sstream>

#include <reset/status.hpp>

#include "arguments.hpp"

namespace generate {
namespace {

constexpr std::int64_t kMany = 1 << 20;

std::vector<std::int32_t> to_tokens(const std::string& option, const std::string& text) {
  std::vector<std::int32_t> tokens;
  std::istringstream list(text + ",");
  for (std::string item; std::getline(list, item, ',');) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    tokens.push_back(static_cast<std::int32_t>(console::to_integer(option, item, 0, kMost)));
  }
  return tokens;
}

// What an option does with the text behind it.
using Action = std::function<void(const std::string& option, const std::string& value)>;

std::map<std::string, Action> actions(Options& o) {
  using console::to_integer;
  using console::to_real;
  using Text = const std::string&;
  return {
      {"--model", [&](Text, Text value) { o.model = value; }},
      {"--random-weights", [&](Text, Text value) { o.random_weights = value; }},
      {"--head",
       [&](Text option, Text value) {
         o.nvfp4_head = console::choose<bool>(option, value, {{"bf16", false}, {"nvfp4", true}});
       }},
      {"--prompt", [&](Text, Text value) { o.prompt = value; }},
      {"--prompt-file", [&](Text, Text value) { o.prompt_file = value; }},
      {"--prompt-tokens", [&](Text option, Text value) { o.prompt_tokens = to_tokens(option, value); }},
      {"--device",
       [&](Text option, Text value) {
         o.device = console::choose<Device>(option, value, {{"cpu", Device::kCpu}, {"cuda", Device::kCuda}});
       }},
      {"--activations",
       [&](Text option, Text value) {
         using engine::Activations;
         o.activations = console::choose<Activations>(option, value,
                                                      {{"bf16", Activations::kFull}, {"nvfp4", Activations::kNvfp4}});
       }},
      {"--batch",
       [&](Text option, Text value) { o.batch = static_cast<std::int32_t>(to_integer(option, value, 1, 1024)); }},
      {"--seed",
       [&](Text option, Text value) {
         o.seed = static_cast<std::uint64_t>(to_integer(option, value, 0, std::numeric_limits<std::int64_t>::max()));
       }},
      {"--max-tokens", [&](Text option, Text value) { o.max_tokens = to_integer(option, value, 1, kMany); }},
      {"--temperature", [&](Text option, Text value) { o.temperature = to_real(option, value, 0.0F, 100.0F); }},
      {"--tau0", [&](Text option, Text value) { o.tau0 = to_real(option, value, 0.0F, 100.0F); }},
      {"--t-low", [&](Text option, Text value) { o.t_low = to_real(option, value, 0.0F, 100.0F); }},
      {"--top-p", [&](Text option, Text value) { o.top_p = to_real(option, value, 0.0F, 1.0F); }},
      {"--top-k",
       [&](Text option, Text value) { o.top_k = static_cast<std::int32_t>(to_integer(option, value, 0, kMany)); }},
      {"--early-stop",
       [&](Text option, Text value) { o.early_stop = static_cast<std::int32_t>(to_integer(option, value, 1, kMany)); }},
      {"--trace", [&](Text, Text value) { o.trace = value; }},
      {"--record-input-scales", [&](Text, Text value) { o.input_scales = value; }},
  };
}

// The options that stand alone; false for any other argument.
bool parse_switch(const std::string& argument, Options& options) {
  if (argument == "--help" || argument == "-h")
    options.help = true;
  else if (argument == "--no-reset")
    options.reset = false;
  else if (argument == "--color")
    options.colour = console::Terminal::Use::kAlways;
  else if (argument == "--no-color")
    options.colour = console::Terminal::Use::kNever;
  else
    return false;
  return true;
}

void check_checkpoint(const Options& options) {
  if (options.nvfp4_head) {
    throw reset::Error("--head is given without --random-weights, expected a checkpoint whose head is as wanted");
  }
  if (options.model.empty()) throw reset::Error("--model is missing, expected a checkpoint directory");
  const int prompts =
      (options.prompt ? 1 : 0) + (options.prompt_file.empty() ? 0 : 1) + (options.prompt_tokens.empty() ? 0 : 1);
  if (prompts == 1) return;
  throw reset::Error("the command line gives " + std::to_string(prompts) +
                     " prompts, expected one of --prompt, --prompt-file and --prompt-tokens");
}

// Random weights have no tokenizer, and only a GPU makes them.
void check_random(const Options& options) {
  const auto refuse = [](const char* option, const char* expected) {
    throw reset::Error(std::string(option) + " is given with --random-weights, expected " + expected);
  };
  if (!options.model.empty()) refuse("--model", "one of them");
  if (options.prompt) refuse("--prompt", "--prompt-tokens or no prompt");
  if (!options.prompt_file.empty()) refuse("--prompt-file", "--prompt-tokens or no prompt");
  if (options.device == Device::kCpu) refuse("--device cpu", "--device cuda");
  if (!options.input_scales.empty()) refuse("--record-input-scales", "--model");
}

void check(const Options& options) {
  if (options.random_weights.empty()) {
    check_checkpoint(options);
  } else {
    check_random(options);
  }
  if (options.reset && options.temperature) {
    throw reset::Error("--temperature is given while ReSET sets the temperature, expected --no-reset beside it");
  }
  if (!options.reset && (options.tau0 || options.t_low)) {
    throw reset::Error(std::string(options.tau0 ? "--tau0" : "--t-low") +
                       " is given with --no-reset, expected it alone");
  }
  if (options.input_scales.empty()) return;
  if (options.device == Device::kCuda) {
    throw reset::Error("--record-input-scales is given with --device cuda, expected --device cpu");
  }
  if (options.activations == engine::Activations::kNvfp4) {
    throw reset::Error("--record-input-scales is given with --activations nvfp4, expected --activations bf16");
  }
}

}  // namespace

const char* usage() {
  return "usage: generate --model DIR --prompt TEXT [options]\n"
         "\n"
         "Generates text with a Qwen2 or Qwen3 checkpoint, NVFP4 or not, and ReSET, and shows what ReSET did.\n"
         "\n"
         "  --model DIR            checkpoint directory: config.json, safetensors files, tokenizer.json\n"
         "  --random-weights NAME  instead, for timing on a GPU: random numbers in the shapes of qwen3-8b, qwen3-14b,\n"
         "                         qwen3-32b, r1-distill-qwen-7b or r1-distill-qwen-14b; tokens are numbers\n"
         "  --head TYPE            of the random weights: bf16 (default) or nvfp4\n"
         "  --prompt TEXT          the prompt; special tokens may stand in it, as in \"<|im_start|>user\"\n"
         "  --prompt-file FILE     the prompt from a file\n"
         "  --prompt-tokens 1,2,3  the prompt as token ids\n"
         "  --device WHERE         cpu or cuda (default: cuda if this build has it and there is a GPU)\n"
         "  --activations TYPE     bf16 (default), or nvfp4 for checkpoints with input scales\n"
         "  --batch N              N sequences side by side, with the seeds S, S + 1, ... (default 1)\n"
         "  --seed S               of the random numbers (default 1)\n"
         "  --max-tokens N         tokens of a sequence (default 4096, or as many as the model has room for)\n"
         "  --tau0 X, --t-low X    ReSET's threshold in nats, and its temperature below (default: those published for\n"
         "                         the model that DIR is named after, else the library's)\n"
         "  --no-reset             sample every token at one temperature\n"
         "  --temperature T        that temperature (default 0.6)\n"
         "  --top-p P, --top-k K   keep the likeliest tokens only (default 0.95, and 0 for all)\n"
         "  --early-stop N         end a sequence when N of its steps in a row have not come to a lower mean entropy\n"
         "                         than all before them (default: no sequence)\n"
         "  --trace FILE           write the entropies to a new file of JSON lines (examples/traces/answer.hpp)\n"
         "  --record-input-scales FILE\n"
         "                         write the input scales that this prompt and these answers ask for to a new file,\n"
         "                         for quantize --input-scales (on the CPU)\n"
         "  --color, --no-color    colours even where the output is no terminal, or none\n";
}

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  const std::map<std::string, Action> known = actions(options);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (parse_switch(argument, options)) continue;
    const auto action = known.find(argument);
    if (action == known.end()) {
      throw reset::Error("argument is \"" + argument + "\", expected an option that --help lists");
    }
    if (i + 1 == arguments.size()) throw reset::Error(argument + " is the last argument, expected a value after it");
    action->second(argument, arguments[++i]);
  }
  if (!options.help) check(options);
  return options;
}

}  // namespace generate
