// Messages as safetensors files in C++17, with nothing but the standard library: named arrays, and named texts as metadata.
// Golden vectors, failure files and the frames of a pipe are all of this format. Copy this file into your own port.
//
// `unpacked` never reads out of bounds: what is no such file throws BadMessage. Written for little-endian machines.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace touchstone {

constexpr std::uint64_t kLargest = 1u << 30;  // bytes of a message, at most

struct Array {
  std::string dtype;  // as safetensors has it: "F64", "F32", "I64", "BOOL", ...
  std::vector<std::uint64_t> shape;
  std::string bytes;  // row-major, little-endian
};

struct Message {
  std::map<std::string, std::string> texts;
  std::map<std::string, Array> arrays;
};

struct BadMessage : std::runtime_error { using runtime_error::runtime_error; };  // bytes that hold no message

inline std::uint64_t width(const std::string& dtype) {  // bytes of one entry
  static const std::map<std::string, std::uint64_t> widths{
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"I16", 2}, {"U16", 2}, {"F16", 2}, {"BF16", 2},
      {"I32", 4},  {"U32", 4}, {"F32", 4}, {"I64", 8}, {"U64", 8}, {"F64", 8}};
  const auto found = widths.find(dtype);
  if (found == widths.end()) throw BadMessage("no array has the type " + dtype);
  return found->second;
}

inline std::uint64_t count(const std::vector<std::uint64_t>& shape) {  // entries of an array, at most kLargest
  std::uint64_t product = 1;
  for (const std::uint64_t size : shape) {
    if (size != 0 && product > kLargest / size) throw BadMessage("an array is too large");
    product *= size;
  }
  return product;
}

// ------------------------------------------------------------------------------------------------ bytes -> message
class Header {  // reads the one kind of JSON that a safetensors header is
 public:
  Header(const char* begin, const char* end) : at_(begin), end_(end) {}

  bool take(char wanted) {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) throw BadMessage(std::string("the header lacks a ") + wanted);
  }
  template <class Entry>
  void object(Entry entry) {  // entry(key) reads the value
    expect('{');
    if (take('}')) return;
    do {
      const std::string key = text();
      expect(':');
      entry(key);
    } while (take(','));
    expect('}');
  }
  std::vector<std::uint64_t> numbers() {
    std::vector<std::uint64_t> all;
    expect('[');
    if (take(']')) return all;
    do all.push_back(number());
    while (take(','));
    expect(']');
    return all;
  }
  std::string text() {
    expect('"');
    std::string out;
    while (true) {
      const unsigned char c = next();
      if (c == '"') break;
      if (c < 0x20) throw BadMessage("the header has a bare control character");
      out += c == '\\' ? escaped() : static_cast<char>(c);
    }
    return out;
  }
  void finish() {
    take('\0');  // skips blanks
    if (at_ != end_) throw BadMessage("the header goes on after its end");
  }

 private:
  unsigned char next() {
    if (at_ == end_) throw BadMessage("the header breaks off");
    return static_cast<unsigned char>(*at_++);
  }
  std::uint64_t number() {
    take('\0');
    std::uint64_t value = 0;
    const char* start = at_;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
      value = 10 * value + static_cast<std::uint64_t>(*at_ - '0');
      if (value > kLargest) throw BadMessage("a number of the header is too large");
    }
    if (at_ == start) throw BadMessage("the header lacks a number");
    return value;
  }
  char escaped() {  // only control characters come as \u00..
    static const std::string from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t", digits = "0123456789abcdef";
    const char c = static_cast<char>(next());
    if (const auto place = from.find(c); place != std::string::npos) return to[place];
    std::size_t code = 0;
    for (int i = 0; c == 'u' && i < 4; ++i) {
      const auto digit = digits.find(static_cast<char>(std::tolower(next())));
      code = 16 * code + (digit == std::string::npos ? 0x80 : digit);
    }
    if (c != 'u' || code >= 0x80) throw BadMessage("the header has a wrong escape");
    return static_cast<char>(code);
  }

  const char* at_;
  const char* end_;
};

inline std::uint64_t little_endian(const char* at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
  return value;
}

inline Message unpacked(const std::string& data) {
  const std::uint64_t size = data.size() < 8 ? 0 : little_endian(data.data(), 8);
  if (data.size() < 8 || size > data.size() - 8) throw BadMessage("the header is longer than the message");
  const std::string payload = data.substr(8 + size);
  Message message;
  std::vector<std::tuple<std::uint64_t, std::uint64_t, std::string>> places;  // begin, end, name
  bool metadata = false;
  Header header(data.data() + 8, data.data() + 8 + size);
  header.object([&](const std::string& name) {
    if (name == "__metadata__") {
      if (std::exchange(metadata, true)) throw BadMessage("the header names __metadata__ twice");
      header.object([&](const std::string& key) {
        if (!message.texts.emplace(key, header.text()).second) throw BadMessage("the header names " + key + " twice");
      });
      return;
    }
    Array array;
    std::vector<std::uint64_t> offsets;
    header.object([&](const std::string& key) {
      if (key == "dtype") array.dtype = header.text();
      else if (key == "shape") array.shape = header.numbers();
      else if (key == "data_offsets") offsets = header.numbers();
      else throw BadMessage("an array has no " + key);
    });
    const std::uint64_t bytes = count(array.shape) * width(array.dtype);
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > payload.size() || offsets[1] - offsets[0] != bytes)
      throw BadMessage("the offsets of " + name + " do not fit its shape, or the message");
    array.bytes = payload.substr(offsets[0], bytes);
    places.emplace_back(offsets[0], offsets[1], name);
    if (!message.arrays.emplace(name, std::move(array)).second) throw BadMessage("the header names " + name + " twice");
  });
  header.finish();
  std::sort(places.begin(), places.end());  // the arrays must fill the message, without gap or overlap
  std::uint64_t filled = 0;
  for (const auto& [begin, end, name] : places)
    if (std::exchange(filled, end) != begin) throw BadMessage("the arrays before " + name + " leave a gap, or overlap");
  if (filled != payload.size()) throw BadMessage("the message goes on after its arrays");
  return message;
}

// ------------------------------------------------------------------------------------------------ message -> bytes
inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += code;
    else out += c;
  }
  return out + '"';
}

inline std::string packed(const Message& message) {
  std::ostringstream header;
  std::string payload;
  const char* comma = "{\"__metadata__\":{";
  for (const auto& [name, text] : message.texts) header << std::exchange(comma, ",") << quoted(name) << ':' << quoted(text);
  header << (message.texts.empty() ? "{" : "}");
  comma = message.texts.empty() ? "" : ",";
  for (const auto& [name, array] : message.arrays) {
    header << std::exchange(comma, ",") << quoted(name) << ":{\"dtype\":" << quoted(array.dtype) << ",\"shape\":[";
    for (std::size_t axis = 0; axis < array.shape.size(); ++axis) header << (axis ? "," : "") << array.shape[axis];
    header << "],\"data_offsets\":[" << payload.size() << ',' << payload.size() + array.bytes.size() << "]}";
    payload += array.bytes;
  }
  std::string text = header.str() + '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string data;
  for (int i = 0; i < 8; ++i) data += static_cast<char>((text.size() >> (8 * i)) & 0xFF);
  return data + text + payload;
}

}  // namespace touchstone
