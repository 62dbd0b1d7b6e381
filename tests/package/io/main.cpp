// A stranger's first file: writes a tensor and reads it back through the checkpoint reader.
#include <cstdio>
#include <fstream>
#include <string>

#include <reset/io/checkpoint.hpp>
#include <reset/io/safetensors_writer.hpp>
#include <reset/io/tokenizer.hpp>

int main() {
  const std::string path = "consumer.safetensors";
  const float values[4] = {1.0f, -2.0f, 3.0f, 0.5f};
  reset::SafetensorsWriter writer(path, {{"x", reset::DType::kF32, {2, 2}}});
  writer.append("x", values, sizeof values);
  writer.finish();

  const reset::Checkpoint checkpoint = reset::Checkpoint::open(path);
  float read[4] = {};
  reset::read_floats(checkpoint.tensor("x"), 0, 4, read);
  std::printf("%g %g %g %g\n", static_cast<double>(read[0]), static_cast<double>(read[1]), static_cast<double>(read[2]),
              static_cast<double>(read[3]));
  return read[1] == values[1] && read[3] == values[3] && !checkpoint.is_nvfp4("x") ? 0 : 1;
}
