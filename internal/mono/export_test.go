package mono

import "time"

func Gap() time.Duration { return gap() }

func Look() time.Duration { return look(time.Since(base)) }
