package watchfire

import (
	"math"
	"strconv"
	"strings"
)

// Show is a value of this signal with its unit, such as `92.31 °C`.
func (signal *Signal) Show(value float64) string {
	if signal.Unit == nil || *signal.Unit == "" || *signal.Unit == "1" {
		return Number(value)
	}
	switch unit := *signal.Unit; unit {
	case "Cel":
		return Number(value) + " °C"
	case "[degF]":
		return Number(value) + " °F"
	default:
		return Number(value) + " " + unit
	}
}

// Number is a number as an operator reads it: six significant digits, no needless zeros, the same on every machine.
func Number(value float64) string {
	size := math.Abs(value)
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(value, 'f', -1, 64)), "+")
	case size != 0 && (size < 1e-4 || size >= 1e15):
		digits, exponent, _ := strings.Cut(strconv.FormatFloat(value, 'e', 5, 64), "e")
		whole, _ := strconv.Atoi(exponent)
		return trimmed(digits) + "e" + strconv.Itoa(whole)
	}
	decimals := 5
	for bound := 10.0; decimals > 0 && size >= bound; bound *= 10 {
		decimals--
	}
	for bound := 1.0; decimals < 9 && size != 0 && size < bound; bound /= 10 {
		decimals++
	}
	return trimmed(strconv.FormatFloat(value, 'f', decimals, 64))
}

// trimmed is without the zeros at the end of the fraction.
func trimmed(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	short := strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
	if short == "-0" {
		return "0"
	}
	return short
}
