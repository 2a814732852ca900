package calibration

import "fmt"

// verdict says whether a method is accepted by what the hold-out showed, and why.
//
// It must know more than the length of the response: among records of like length its
// AUC must be above 0.5, and above that of length alone, which within a band is not
// quite 0.5. And it must beat the rating: in AUC, or in log loss if that was better
// than the rating's own logistic regression's. Beating means that the interval of the
// paired difference is above 0.
func verdict(r *Result) (accepted bool, reason string) {
	switch {
	case !(r.WithinAUC.Low > 0.5):
		return false, fmt.Sprintf("within bands of length the AUC of %s is %s on the hold-out: it must be above 0.5, or the length is all that was learned", r.Method, r.WithinAUC)
	case !(r.OverLength.Low > 0):
		return false, fmt.Sprintf("within bands of length the AUC of %s is %s above that of length alone on the hold-out: the interval must be above 0, or the length is all that was learned", r.Method, r.OverLength)
	case r.OverRating.Low > 0:
		return true, fmt.Sprintf("on the hold-out the AUC of %s is %s above that of the rating", r.Method, r.OverRating)
	case r.LossSaved.Low > 0:
		return true, fmt.Sprintf("on the hold-out the log loss of %s is %s below that of %s; its AUC is %s above that of the rating", r.Method, r.LossSaved, basisName(r.Method), r.OverRating)
	}
	return false, fmt.Sprintf("on the hold-out %s does not beat the rating: its AUC is %s above, its log loss %s below that of %s; one of the intervals must be above 0", r.Method, r.OverRating, r.LossSaved, basisName(r.Method))
}

// basisName is what a method's log loss is compared with.
func basisName(method string) string {
	if onRating(method) {
		return "the share of records to keep"
	}
	return "logistic regression on the rating"
}
