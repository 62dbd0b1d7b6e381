// Recorded answers: what a calibration reads and an engine writes. A trace is a file of JSON lines, one answer a line:
//
//   {"model": "Qwen3-8B-NVFP4", "task": "AIME", "problem": "2024-I-1", "seed": 7, "correct": true,
//    "settings": {"reset": {"tau0": 0.55, "t_low": 0.1, "t_high": 1.0, "window": 32, "history": "exclude_current"},
//                 "temperature": 1.0, "top_k": 0, "top_p": 0.95, "min_p": 0.0},
//    "entropies": [0.013, 1.2, 0.4], "boundaries": [2]}
//
// settings.reset       null where ReSET was off and every token was sampled at settings.temperature, which must
//                      then be given; "history" is "exclude_current" (default) or "include_current"
// temperature ...      the other settings default to 1, 0, 1 and 0, which change nothing
// correct              null where nobody has graded the answer: a calibration refuses it
// entropies            H_t in nats of every generated token that the policy ruled (without ReSET: would have); tokens
//                      of bad rows are left out, as they are from the policy's history
// boundaries           indices into `entropies`, ascending, of the tokens that begin a step (`SampledToken::boundary`)
//
// Other members of a line are left to whoever writes it; other members of the settings are refused, since answers that
// differ in them must not be taken for one setting's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <reset/sampler/sampler_types.hpp>

namespace traces {

// How an answer was sampled: what a calibration chooses among.
struct Settings {
  bool reset_enabled = true;       // false: every token at sampling.temperature
  reset::ReSETParams reset;        // a default one if not enabled
  reset::SamplingParams sampling;  // the fallback token is no part of it

  // "ReSET tau_0 0.55, T_low 0.1, T_high 1, w 32" or "T = 0.6", and whatever truncates; equal for equal settings alone.
  std::string text() const;
};

bool operator==(const Settings& a, const Settings& b);
bool operator<(const Settings& a, const Settings& b);

struct Answer {
  std::string model;
  std::string task;
  std::string problem;
  std::uint64_t seed = 0;
  bool correct = false;
  bool graded = true;  // false: written with null for `correct`
  std::string text;    // written where there is one; nobody reads it here
  Settings settings;
  std::vector<float> entropies;
  std::vector<std::int64_t> boundaries;

  // Appends a token. One of a bad row, whose entropy is no number, is left out.
  void add(float entropy, bool boundary);
};

// The line of a trace, without its end. Every number must be finite.
std::string to_line(const Answer& answer);

// {"tau0": 0.55, ...}: the policy as it stands in the settings of a line, every number in its shortest form.
std::string to_json(const reset::ReSETParams& params);

// The answer of a line. Throws reset::Error that begins with `where` and names the field, the value found and what was
// expected.
Answer parse_line(const std::string& line, const std::string& where);

// All answers of all files, in order; empty lines are skipped. Throws reset::Error naming file and line.
std::vector<Answer> read_traces(const std::vector<std::string>& paths);

// The shortest decimal number that is read back as this one.
std::string shortest(float value);

}  // namespace traces
