/** Numbers as an operator reads them: six significant digits and the unit, the same on every machine. */

const UNITS = { Cel: "°C", "[degF]": "°F" };

/** A value of this signal with its unit, such as `92.31 °C`. */
export function show(signal, value) {
  const unit = signal.unit ?? "";
  return unit === "" || unit === "1" ? number(value) : `${number(value)} ${UNITS[unit] ?? unit}`;
}

/** A number with six significant digits and no needless zeros. */
export function number(value) {
  const size = Math.abs(value);
  if (Number.isNaN(value)) return "NaN";
  if (size === Infinity) return value < 0 ? "-inf" : "inf";
  const sign = value < 0 ? "-" : "";
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) {
    const [digits, exponent] = size.toExponential(5).split("e");
    return `${sign}${trimmed(digits)}e${Number(exponent)}`;
  }
  let decimals = 5;
  for (let bound = 10; decimals > 0 && size >= bound; bound *= 10) decimals--;
  for (let bound = 1; decimals < 9 && size !== 0 && size < bound; bound /= 10) decimals++;
  return sign + trimmed(fixed(size, decimals));
}

/** As `toFixed`, but half goes to even, as in the other languages. */
function fixed(size, decimals) {
  const up = size.toFixed(decimals);
  const exact = size.toFixed(60);
  const at = exact.indexOf(".") + 1 + decimals;
  const isHalf = /^50*$/.test(exact.slice(at));
  const down = exact.slice(0, at);
  return isHalf && "02468".includes(down.replace(/\.$/, "").at(-1)) ? down.replace(/\.$/, "") : up;
}

/** Without the zeros at the end of the fraction. */
function trimmed(digits) {
  return digits.includes(".") ? digits.replace(/0+$/, "").replace(/\.$/, "") : digits;
}
