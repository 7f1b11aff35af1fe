// Touchstone's port protocol in C++17, with nothing but the standard library: copy this file into your own port.
//
// A frame is the mark "TSF1", a little-endian 32-bit length, and so many bytes of a message (safetensors.hpp). `serve` answers
// frames from stdin on stdout until stdin ends; print anything else to stderr. A message that is none is answered with an error;
// a stream that holds no frames ends the program with exit status 1.
#pragma once

#include <functional>
#include <optional>

#include "safetensors.hpp"

namespace touchstone {

struct Refused : std::runtime_error { using runtime_error::runtime_error; };   // bad input: say the rule, the value, the place
struct Declined : std::runtime_error { using runtime_error::runtime_error; };  // good input that this port does not compute
struct Lost : std::runtime_error { using runtime_error::runtime_error; };      // no frame: nothing can be read any more

// --------------------------------------------------------------------------------------------------------- frames
inline std::string read(std::uint64_t wanted) {  // fewer bytes at the end of stdin; what a wrong length asks for is not reserved
  std::string data;
  while (data.size() < wanted) {
    const std::size_t before = data.size();
    data.resize(before + static_cast<std::size_t>(std::min<std::uint64_t>(wanted - before, 1 << 20)));
    const std::size_t got = std::fread(data.data() + before, 1, data.size() - before, stdin);
    if (before + got < data.size()) {
      data.resize(before + got);
      break;
    }
  }
  return data;
}

inline std::optional<std::string> received() {  // the bytes of the next message; nothing at the end of stdin
  const std::string head = read(8);
  if (head.empty()) return std::nullopt;
  if (head.size() < 8 || head.compare(0, 4, "TSF1") != 0) throw Lost("what came is no frame");
  const std::uint64_t size = little_endian(head.data() + 4, 4);
  if (size > kLargest) throw Lost("a frame is too long");
  std::string data = read(size);
  if (data.size() < size) throw Lost("a frame broke off");
  return data;
}

inline void send(const Message& message) {
  const std::string data = packed(message);
  if (data.size() > kLargest) throw std::runtime_error("the answer is too long for a frame");
  std::string head = "TSF1";
  for (int i = 0; i < 4; ++i) head += static_cast<char>((data.size() >> (8 * i)) & 0xFF);
  const auto put = [](const std::string& bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size(); };
  if (!put(head) || !put(data) || std::fflush(stdout) != 0) throw Lost("stdout is closed");
}

// ------------------------------------------------------------------------------------------------------ the port
using Arrays = std::map<std::string, Array>;

struct Call {
  Message message;

  std::string text(const std::string& name) const {  // empty where there is none
    const auto found = message.texts.find(name);
    return found == message.texts.end() ? "" : found->second;
  }
  bool listed(const std::string& list, const std::string& name) const {  // is it in `numbers`, `nones`, `functions`, ...?
    std::istringstream names(text(list));
    for (std::string each; names >> each;)
      if (each.substr(0, each.find(':')) == name) return true;
    return false;
  }
  Arrays ask(const std::string& function, Arrays arguments) const {  // what a function of the caller's answers
    send({{{"ask", function}, {"call", text("call")}}, std::move(arguments)});
    const std::optional<std::string> data = received();
    if (!data) throw Lost("stdin ended while " + function + " was asked");
    const Call answer{unpacked(*data)};
    if (answer.text("status") != "ok") throw Refused(function + " must answer an array; got " + answer.text("message"));
    return answer.message.arrays;
  }
};

using Operator = std::function<Arrays(const Call&)>;  // results named "0", "1", ...

struct Port {
  std::map<std::string, std::string> about;        // the texts of the handshake: name, dtypes, versions, ...
  std::map<std::string, Operator> operators;
  std::map<std::string, Operator> gradients;       // of operators, d(sum of cotangent * result)/d(the text `gradient`)

  Message answer(const std::string& data) const {
    Call call;
    Message said;
    try {
      call.message = unpacked(data);
      said = call.text("touchstone").empty() ? computed(call) : offer();
    } catch (const Lost&) {
      throw;
    } catch (const Refused& error) {
      said.texts = {{"status", "refused"}, {"message", error.what()}};
    } catch (const Declined& error) {
      said.texts = {{"status", "declined"}, {"message", error.what()}};
    } catch (const std::exception& error) {
      said.texts = {{"status", "error"}, {"type", "RuntimeError"}, {"message", error.what()}};
    }
    if (!call.text("call").empty()) said.texts["call"] = call.text("call");  // whose answer this is
    return said;
  }
  Message computed(const Call& call) const {
    const auto& known = call.text("gradient").empty() ? operators : gradients;
    const auto found = known.find(call.text("operator"));
    if (found == known.end()) throw Declined("no operator, or no derivative of it: " + call.text("operator"));
    return {{{"status", "ok"}}, found->second(call)};
  }
  Message offer() const {
    Message said{about, {}};
    said.texts["touchstone"] = "1";
    for (const auto& [name, each] : operators) said.texts["operators"] += (said.texts["operators"].empty() ? "" : " ") + name;
    for (const auto& [name, each] : gradients) said.texts["gradients"] += (said.texts["gradients"].empty() ? "" : " ") + name;
    return said;
  }
  int serve() const {  // the exit status of the program
    try {
      while (const std::optional<std::string> data = received()) send(answer(*data));
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
  }
};

}  // namespace touchstone
