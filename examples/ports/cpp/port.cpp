// A port of four operators, tried by Touchstone through a pipe. C++17, no dependency.
//
//   make                                                                          builds ./port
//   python verify.py --port-command ./examples/ports/cpp/port --profile dev       tries it (from the repository's root)
//   make planted                                                                  builds ./planted, whose gae is wrong
//
// safetensors.hpp  messages as bytes                                copy it
// touchstone.hpp   frames, and the loop that answers them           copy it
// arguments.hpp    arguments by name, refusals of bad input         copy it
// port.cpp         the operators                                    yours
#include <limits>

#include "arguments.hpp"

namespace {

using namespace touchstone;

// A_t = delta_t + discount lambda A_{t+1} (0 after a cut), delta_t = r_t + discount V'_t (0 if terminated) - V_t.
template <class T>
Arrays gae(const Call& call) {
  const Values<T> reward = real<T>(call, "reward");
  last_axis("reward", reward.shape);
  const Values<std::uint8_t> terminated = flags(call, "terminated"), truncated = flags(call, "truncated");
  same_shape("terminated", terminated.shape, "reward", reward.shape);
  same_shape("truncated", truncated.shape, "reward", reward.shape);
  const Values<T> value = real<T>(call, "value"), next_value = real<T>(call, "next_value");
  same_shape("value", value.shape, "reward", reward.shape);
  same_shape("next_value", next_value.shape, "reward", reward.shape);
  const T lambda = static_cast<T>(scalar(call, "lambda_", "[0, 1]"));

  Values<T> discount{reward.shape, {}};
  const Array& given = array(call, "discount", "must be a real number or an array");
  if (given.shape.empty()) {
    discount.data.assign(reward.data.size(), static_cast<T>(scalar(call, "discount", "[0, 1]")));
  } else {
    discount = real<T>(given, "discount");
    same_shape("discount", discount.shape, "reward", reward.shape);
    for (std::size_t i = 0; i < discount.data.size(); ++i)
      if (!inside(discount.data[i], "[0, 1]"))
        throw Refused("discount must lie in [0, 1]; got " + shown(discount.data[i]) + " at discount" + place(discount.shape, i));
  }

  const std::size_t steps = reward.shape.back();
  std::vector<T> advantage(reward.data.size());
  for (std::size_t i = advantage.size(); i-- > 0;) {
    const bool cut = terminated.data[i] || truncated.data[i];
#ifdef PLANTED_BUG
    const bool ended = cut;  // a time limit is taken for an end
#else
    const bool ended = terminated.data[i];
#endif
    advantage[i] = (ended ? reward.data[i] : reward.data[i] + discount.data[i] * next_value.data[i]) - value.data[i];
    if (!cut && (i + 1) % steps != 0) advantage[i] += discount.data[i] * lambda * advantage[i + 1];
  }
  return {{"0", result(reward.shape, advantage)}};
}

// |expectile - 1[error < 0]| error^2, element by element.
template <class T>
Arrays expectile_loss(const Call& call) {
  Values<T> error = real<T>(call, "error");
  const T level = static_cast<T>(scalar(call, "expectile", "(0, 1)"));
  for (T& u : error.data) u = (u < 0 ? 1 - level : level) * (u * u);
  return {{"0", result(error.shape, error.data)}};
}

// d(sum of cotangent * loss)/d(error) = cotangent * 2 |expectile - 1[error < 0]| error.
template <class T>
Arrays expectile_loss_slope(const Call& call) {
  if (call.text("gradient") != "error") throw Declined("only the derivative in error is offered");
  Values<T> error = real<T>(call, "error");
  const T level = static_cast<T>(scalar(call, "expectile", "(0, 1)"));
  for (T& u : error.data) u *= 2 * (u < 0 ? 1 - level : level);
  if (call.message.arrays.count("cotangent")) {
    const Values<T> weight = real<T>(call, "cotangent");
    same_shape("cotangent", weight.shape, "error", error.shape);
    for (std::size_t i = 0; i < error.data.size(); ++i) error.data[i] *= weight.data[i];
  }
  return {{"0", result(error.shape, error.data)}};
}

// The mean of n entries, between the smallest and the largest; a sum that overflows is taken in pieces.
template <class T>
T mean(const std::vector<T>& q) {
  const T n = static_cast<T>(q.size());
  T sum = 0, pieces = 0;
  for (const T each : q) sum += each, pieces += each / n;
  const auto [low, high] = std::minmax_element(q.begin(), q.end());
  return std::isnan(pieces) ? pieces : std::clamp(std::isfinite(sum) ? sum / n : pieces, *low, *high);
}

// t log mean exp(q/t), from the largest entry down, so that nothing overflows; mean exp(x) - 1 while that is small.
template <class T>
T log_mean_exp_of(std::vector<T> q, T t) {
  if (std::isinf(t)) return mean(q);
  const T n = static_cast<T>(q.size());
  const auto [low, high] = std::minmax_element(q.begin(), q.end());
  const T peak = *high;
  if (std::isinf(peak)) return peak;
  const T scale = std::isinf(peak - *low) && std::isfinite(*low) ? T(0.25) : T(1);
  T mass = 0, less = 0;
  for (const T each : q) {
    const T gap = each * scale - peak * scale;
    const T x = gap == 0 ? T(0) : gap / (t * scale);
    mass += std::exp(x), less += std::expm1(x);
  }
  const T logarithm = mass >= n / 2 ? std::log1p(less / n) : std::log(mass / n);
  return (peak * scale + (t == 0 ? T(0) : t * scale * logarithm)) / scale;
}

template <class T>
Arrays log_mean_exp(const Call& call) {
  const Values<T> q = real<T>(call, "q");
  last_axis("q", q.shape);
  const T temperature = static_cast<T>(scalar(call, "temperature", "[0, inf]"));
  const std::size_t samples = q.shape.back();
  std::vector<T> found;
  for (auto row = q.data.begin(); row != q.data.end(); row += static_cast<std::ptrdiff_t>(samples))
    found.push_back(log_mean_exp_of(std::vector<T>(row, row + static_cast<std::ptrdiff_t>(samples)), temperature));
  return {{"0", result({q.shape.begin(), q.shape.end() - 1}, found)}};
}

template <class T>
T inner(const std::vector<T>& x, const std::vector<T>& y) {
  T sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

// The power of two to divide by where squares might leave the type's range; 0 elsewhere.
template <class T>
int far_exponent(const std::vector<T>& x) {
  T largest = 0;
  for (const T each : x) largest = std::max(largest, std::abs(each));
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::abs(exponent) > std::numeric_limits<T>::max_exponent / 5 ? exponent : 0;
}

// (A + damping) p, A p being asked back from the caller.
template <class T>
std::vector<T> image(const Call& call, const std::vector<T>& p, T damping) {
  const std::vector<std::uint64_t> shape{p.size()};
  const Arrays answer = call.ask("matvec", {{"0", result(shape, p)}});
  const auto found = answer.find("0");
  if (found == answer.end()) throw Refused("matvec must answer an array; got nothing");
  Values<T> product = finite<T>(found->second, "matvec");
  same_shape("the answer of matvec", product.shape, "its argument", shape);
  for (std::size_t i = 0; i < p.size(); ++i) product.data[i] += damping * p[i];
  return product.data;
}

// x with (A + damping) x = b, by Hestenes and Stiefel's recurrence from 0; residual and direction are kept divided by 2^exponent.
template <class T>
Arrays conjugate_gradient(const Call& call) {
  if (!call.listed("functions", "matvec")) throw Refused("matvec must be callable");
  const Values<T> b = finite<T>(array(call, "b", "must be real numbers"), "b");
  if (b.shape.size() != 1 || b.data.empty()) throw Refused("b has shape " + shown(b.shape) + "; b must be [P], not empty");
  const std::int64_t limit = integer(call, "iterations", 1);
  const T tolerance = static_cast<T>(scalar(call, "tolerance", "[0, inf)"));
  const T damping = static_cast<T>(scalar(call, "damping", "[0, inf)"));
  std::vector<T> residual = b.data, direction = b.data, solution(b.data.size());
  int exponent = 0;
  for (std::int64_t taken = 0;; ++taken) {
    const int shift = far_exponent(residual);
    for (T& each : residual) each = std::ldexp(each, -shift);
    for (T& each : direction) each = std::ldexp(each, -shift);
    exponent += shift;
    const T square = inner(residual, residual), norm = std::ldexp(std::sqrt(square), exponent);
    if (norm <= tolerance || taken == limit)
      return {{"0", result(b.shape, solution)}, {"1", result<std::int64_t>({}, {taken})}, {"2", result<T>({}, {norm})}};
    const std::vector<T> product = image(call, direction, damping);
    const T curvature = inner(direction, product);
    if (!(curvature > 0) || std::isinf(curvature))
      throw Refused("matvec must be positive definite; got p'Ap = " + shown(std::ldexp(curvature, 2 * exponent)) +
                    " at iteration " + std::to_string(taken + 1));
    const T length = square / curvature;
    for (std::size_t i = 0; i < solution.size(); ++i) {
      solution[i] += std::ldexp(length * direction[i], exponent);
      residual[i] -= length * product[i];
    }
    const T ratio = inner(residual, residual) / square;
    for (std::size_t i = 0; i < solution.size(); ++i) direction[i] = residual[i] + ratio * direction[i];
  }
}

// One operator in the types of its calls.
Operator typed(Arrays (*wide)(const Call&), Arrays (*narrow)(const Call&)) {
  return [=](const Call& call) {
    if (call.text("dtype") == "float64") return wide(call);
    if (call.text("dtype") == "float32") return narrow(call);
    throw Declined("float64 and float32 only; got " + call.text("dtype"));
  };
}

}  // namespace

int main() {
  Port port;
  port.about = {{"name", "cpp"}, {"dtypes", "float64 float32"}, {"versions", "c++=" + std::to_string(__cplusplus)}, {"deterministic", "yes"}};
  port.operators["gae"] = typed(gae<double>, gae<float>);
  port.operators["expectile_loss"] = typed(expectile_loss<double>, expectile_loss<float>);
  port.operators["log_mean_exp"] = typed(log_mean_exp<double>, log_mean_exp<float>);
  port.operators["conjugate_gradient"] = typed(conjugate_gradient<double>, conjugate_gradient<float>);
  port.gradients["expectile_loss"] = typed(expectile_loss_slope<double>, expectile_loss_slope<float>);
  return port.serve();
}
