package protobuf

import "google.golang.org/protobuf/reflect/protoreflect"

// nests reports whether a message of d can hold itself, at whatever depth, or what d does not say: extensions. Only such a
// message can nest deep, or be a cycle, over which encoding would overflow the stack.
func nests(d protoreflect.MessageDescriptor) bool {
	within := map[protoreflect.FullName]bool{} // what was looked at: true while its fields are
	var look func(d protoreflect.MessageDescriptor) bool
	look = func(d protoreflect.MessageDescriptor) bool {
		if open, ok := within[d.FullName()]; ok {
			return open
		}
		if d.ExtensionRanges().Len() > 0 {
			return true
		}
		within[d.FullName()] = true
		for i := range d.Fields().Len() {
			if m := d.Fields().Get(i).Message(); m != nil && look(m) {
				return true
			}
		}
		within[d.FullName()] = false
		return false
	}
	return look(d)
}

// tooDeep reports whether m nests more than limit messages deep. It ends on a cycle too.
func tooDeep(m protoreflect.Message, limit int) (deep bool) {
	if limit == 0 {
		return true
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					deep = tooDeep(v.Message(), limit-1)
					return !deep
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				if deep = tooDeep(v.List().Get(i).Message(), limit-1); deep {
					break
				}
			}
		default:
			deep = tooDeep(v.Message(), limit-1)
		}
		return !deep
	})
	return deep
}
