package bench

import "math/bits"

// bitset is a set of small numbers.
type bitset []uint64

// add puts n in and reports whether it is new.
func (b *bitset) add(n int64) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	for int64(len(*b)) <= word {
		*b = append(*b, 0)
	}
	fresh := (*b)[word]&bit == 0
	(*b)[word] |= bit
	return fresh
}

// without returns how many numbers are in b and not in other, and the lowest one of them.
func (b bitset) without(other bitset) (count, first int64) {
	for i, word := range b {
		if i < len(other) {
			word &^= other[i]
		}
		if word != 0 && count == 0 {
			first = int64(i*64 + bits.TrailingZeros64(word))
		}
		count += int64(bits.OnesCount64(word))
	}
	return count, first
}

// remove takes the numbers out that are in one set and not in another, and returns how many these are.
func (b bitset) remove(in, notIn bitset) int64 {
	for i, word := range in {
		if i < len(notIn) {
			word &^= notIn[i]
		}
		b[i] &^= word
	}
	count, _ := in.without(notIn)
	return count
}
