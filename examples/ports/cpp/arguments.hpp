// Arguments by the contract's names, and what is said about bad ones: the rule, the value found, and the place.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "touchstone.hpp"

namespace touchstone {

template <class T>
struct Values {  // an array in row-major order
  std::vector<std::uint64_t> shape;
  std::vector<T> data;
};

inline std::string shown(double value) {  // as Python prints it: the shortest text that reads back the same
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  const std::string digits(text, end);
  return digits.find_first_of(".e") == std::string::npos ? digits + ".0" : digits;
}

inline std::string shown(const std::vector<std::uint64_t>& shape) {
  std::string text = "(";
  for (const std::uint64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + (shape.size() == 1 ? ",)" : ")");
}

inline std::string place(const std::vector<std::uint64_t>& shape, std::uint64_t flat) {  // "[1, 0]", nothing without axes
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0; flat /= shape[axis])
    text = std::to_string(flat % shape[axis]) + (text.empty() ? "" : ", ") + text;
  return text.empty() ? "" : "[" + text + "]";
}

inline std::string numpy_name(const std::string& dtype) {
  static const std::map<std::string, std::string> kinds{{"F", "float"}, {"BF", "bfloat"}, {"I", "int"}, {"U", "uint"}};
  const auto digits = dtype.find_first_of("0123456789");
  return digits == std::string::npos ? "bool" : kinds.at(dtype.substr(0, digits)) + dtype.substr(digits);
}

// The array of that name; where there is something else, a refusal that ends in what it is.
inline const Array& array(const Call& call, const std::string& name, const std::string& rule) {
  if (const auto found = call.message.arrays.find(name); found != call.message.arrays.end()) return found->second;
  if (call.message.texts.count("text:" + name)) throw Refused(name + ' ' + rule + "; got '" + call.text("text:" + name) + '\'');
  if (call.listed("nones", name)) throw Refused(name + ' ' + rule + "; got None");
  if (call.listed("functions", name)) throw Refused(name + ' ' + rule + "; got a function");
  throw std::invalid_argument("the call has no argument " + name);
}

template <class S, class T>
void convert(const Array& from, std::vector<T>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    S entry;
    std::memcpy(&entry, from.bytes.data() + i * sizeof(S), sizeof(S));
    to[i] = static_cast<T>(entry);
  }
}

template <class T>
Values<T> converted(const Array& from, const std::string& name) {
  Values<T> to{from.shape, std::vector<T>(count(from.shape))};
  if (from.dtype == "F64") convert<double>(from, to.data);
  else if (from.dtype == "F32") convert<float>(from, to.data);
  else if (from.dtype == "I64") convert<std::int64_t>(from, to.data);
  else if (from.dtype == "I32") convert<std::int32_t>(from, to.data);
  else if (from.dtype == "BOOL" || from.dtype == "U8") convert<std::uint8_t>(from, to.data);
  else throw Declined(name + " is " + numpy_name(from.dtype) + ", which this port does not read");
  return to;
}

template <class T>
Values<T> real(const Array& from, const std::string& name) {  // real numbers, no NaN
  if (from.dtype == "BOOL") throw Refused(name + " must be real numbers; got bool");
  Values<T> to = converted<T>(from, name);
  for (std::size_t i = 0; i < to.data.size(); ++i)
    if (std::isnan(to.data[i])) throw Refused(name + " must not be NaN; got nan at " + name + place(to.shape, i));
  return to;
}

template <class T>
Values<T> real(const Call& call, const std::string& name) {
  return real<T>(array(call, name, "must be real numbers"), name);
}

template <class T>
Values<T> finite(const Array& from, const std::string& name) {
  Values<T> to = real<T>(from, name);
  for (std::size_t i = 0; i < to.data.size(); ++i)
    if (std::isinf(to.data[i]))
      throw Refused(name + " must be finite; got " + shown(to.data[i]) + " at " + name + place(to.shape, i));
  return to;
}

inline Values<std::uint8_t> flags(const Call& call, const std::string& name) {
  const Array& from = array(call, name, "must be boolean");
  if (from.dtype != "BOOL") throw Refused(name + " must be boolean; got " + numpy_name(from.dtype));
  return converted<std::uint8_t>(from, name);
}

inline void same_shape(const std::string& name, const std::vector<std::uint64_t>& shape, const std::string& other,
                       const std::vector<std::uint64_t>& due) {
  if (shape != due)
    throw Refused(name + " has shape " + shown(shape) + ", " + other + " has shape " + shown(due) + "; they must be equal");
}

inline void last_axis(const std::string& name, const std::vector<std::uint64_t>& shape) {
  if (shape.empty() || shape.back() == 0)
    throw Refused(name + " must have at least one entry on its last axis; got shape " + shown(shape));
}

// A number in an interval written as in mathematics: "(0, 1)", "[0, inf)".
inline bool inside(double value, const std::string& interval) {
  char* middle = nullptr;
  const double low = std::strtod(interval.c_str() + 1, &middle), high = std::strtod(middle + 1, nullptr);
  return (low < value && value < high) || (value == low && interval.front() == '[') || (value == high && interval.back() == ']');
}

inline double scalar(const Call& call, const std::string& name, const std::string& interval) {
  const Array& from = array(call, name, "must be a real number");
  if (from.dtype == "BOOL") throw Refused(name + " must be a real number; got " + (from.bytes[0] ? "True" : "False"));
  if (!from.shape.empty()) throw Refused(name + " must be a real number; got shape " + shown(from.shape));
  const double value = converted<double>(from, name).data[0];
  if (!inside(value, interval)) throw Refused(name + " must lie in " + interval + "; got " + shown(value));
  return value;
}

inline std::int64_t integer(const Call& call, const std::string& name, std::int64_t least) {
  const std::string rule = "must be an integer >= " + std::to_string(least);
  const Array& from = array(call, name, rule);
  if (!from.shape.empty()) throw Refused(name + ' ' + rule + "; got shape " + shown(from.shape));
  if (from.dtype == "BOOL") throw Refused(name + ' ' + rule + "; got " + (from.bytes[0] ? "True" : "False"));
  if (from.dtype[0] == 'F') throw Refused(name + ' ' + rule + "; got " + shown(converted<double>(from, name).data[0]));
  const std::int64_t value = converted<std::int64_t>(from, name).data[0];
  if (value < least) throw Refused(name + ' ' + rule + "; got " + std::to_string(value));
  return value;
}

template <class T>
Array result(const std::vector<std::uint64_t>& shape, const std::vector<T>& data) {
  static_assert(std::is_same_v<T, double> || std::is_same_v<T, float> || std::is_same_v<T, std::int64_t>);
  const char* dtype = std::is_same_v<T, double> ? "F64" : std::is_same_v<T, float> ? "F32" : "I64";
  return {dtype, shape, std::string(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T))};
}

}  // namespace touchstone
