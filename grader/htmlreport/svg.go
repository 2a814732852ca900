package htmlreport

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"winnow/grader/calibration"
)

// Sizes of pictures, in the units of their view box.
const (
	pictureWidth  = 720
	curvesWidth   = 420
	pictureHeight = 260
	marginLeft    = 56
	marginRight   = 12
	marginTop     = 14
	marginBottom  = 40
)

// pictureStyle colours a picture that stands alone; on the page the page does.
const pictureStyle = `<style>text{font:12px system-ui,sans-serif;fill:#39424f}.bg{fill:#fff}.keep{fill:#1a66b3}.drop{fill:#8a93a1}.axis{stroke:#5b6472}.grid{stroke:#d9dee5}.cut{stroke:#a03000;stroke-dasharray:5 3}.before{stroke:#8a93a1;fill:none}.after{stroke:#1a66b3;fill:none}@media(prefers-color-scheme:dark){text{fill:#c3cad4}.bg{fill:#14181e}.keep{fill:#5fa8e8}.drop{fill:#737d8c}.axis{stroke:#9aa4b2}.grid{stroke:#313944}.cut{stroke:#ffab70}}</style>`

// picture is a chart as SVG.
type picture struct {
	strings.Builder
	width float64
}

func (p *picture) addf(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

func (p *picture) begin(title string, alone bool) {
	head := ""
	if alone {
		head = ` xmlns="http://www.w3.org/2000/svg" width="720" height="260"`
	}
	p.addf(`<svg%s viewBox="0 0 %g %d" role="img" aria-label="%s">`, head, p.width, pictureHeight, html.EscapeString(title))
	if alone {
		p.addf(`<title>%s</title>%s<rect class="bg" width="%g" height="%d"/>`, html.EscapeString(title), pictureStyle, p.width, pictureHeight)
	}
}

// across and up place shares of the plot.
func (p *picture) across(share float64) float64 {
	return marginLeft + share*(p.width-marginLeft-marginRight)
}

func up(share float64) float64 {
	return pictureHeight - marginBottom - share*(pictureHeight-marginTop-marginBottom)
}

// axes draws both axes with their words.
func (p *picture) axes(most float64, below, beside string) {
	step := niceStep(most)
	for i := 1.0; i*step <= most*(1+1e-9); i++ {
		y := up(i * step / most)
		p.addf(`<line class="grid" x1="%d" x2="%.1f" y1="%.1f" y2="%.1f"/>`, marginLeft, p.across(1), y, y)
		p.addf(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, marginLeft-6, y+4, tick(i*step))
	}
	p.addf(`<line class="axis" x1="%d" x2="%.1f" y1="%.1f" y2="%.1f"/>`, marginLeft, p.across(1), up(0), up(0))
	p.addf(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, p.across(0.5), pictureHeight-6, html.EscapeString(below))
	p.addf(`<text transform="translate(12 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, up(0.5), html.EscapeString(beside))
}

// niceStep is a round number of which at most four fit below most.
func niceStep(most float64) float64 {
	rough := most / 4
	size := math.Pow10(int(math.Floor(math.Log10(rough))))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*size >= rough {
			return m * size
		}
	}
	return 10 * size
}

func tick(x float64) string {
	switch {
	case x >= 10_000:
		return fmt.Sprintf("%.3gk", x/1000)
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// bar is one of the histogram's: the ratings from From up to To, without To.
type bar struct {
	From, To float64
	Records  int
	Kept     int // at the report's cut
}

func (r *Report) bars() (list []bar) {
	g, h := r.grid, r.series[0].h
	cut, _ := g.at(r.Min)
	for i := 0; i < g.n; i += g.bar {
		end := min(i+g.bar, g.n)
		stop := end
		if end == g.n {
			stop = g.n + 1 // the highest rating is in the last bar
		}
		b := bar{From: g.value(i), To: g.value(end), Records: h.above(i) - h.above(stop)}
		b.Kept = h.above(min(max(i, cut), stop)) - h.above(stop)
		list = append(list, b)
	}
	return list
}

// histogram draws the ratings that count, what is kept at the cut in another colour.
func (r *Report) histogram(alone bool) string {
	p, bars, most := &picture{width: pictureWidth}, r.bars(), 1
	for _, b := range bars {
		most = max(most, b.Records)
	}
	g := r.grid
	p.begin(fmt.Sprintf("Histogram of %d ratings; %d reach the cut of %s", r.Rated, r.Kept, g.text(r.Min)), alone)
	p.axes(float64(most), "rating", "records")
	low, high := g.value(0), g.value(g.n)
	at := func(x float64) float64 { return p.across((x - low) / (high - low)) }
	for _, b := range bars {
		x, width := at(b.From), max(at(b.To)-at(b.From)-1, 0.5)
		dropped := float64(b.Records-b.Kept) / float64(most)
		all := float64(b.Records) / float64(most)
		if b.Records > b.Kept {
			p.addf(`<rect class="drop" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x, up(dropped), width, up(0)-up(dropped))
		}
		if b.Kept > 0 {
			p.addf(`<rect class="keep" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x, up(all), width, up(dropped)-up(all))
		}
	}
	scale := r.manifest.Scale
	room := math.Inf(-1)
	for i, v := range scale.Values {
		if x := at(v); x > room && i < len(scale.Strings) {
			p.addf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x, up(0)+15, html.EscapeString(clip(scale.Strings[i], 8)))
			room = x + 28
		}
	}
	p.addf(`<line class="cut" x1="%.1f" x2="%.1f" y1="%d" y2="%.1f"/>`, at(r.Min), at(r.Min), marginTop-8, up(0))
	p.addf("</svg>")
	return p.String()
}

// SVG writes the histogram as a picture that stands alone.
func (r *Report) SVG(w io.Writer) error {
	_, err := io.WriteString(w, r.histogram(true)+"\n")
	return err
}

// curves draws how often records are to be kept, over what the rating and the calibration
// say of them.
func curves(before, after []calibration.Bin) string {
	p := &picture{width: curvesWidth}
	p.begin("Calibration curves on the records held out", false)
	p.axes(1, "said", "share to be kept")
	p.addf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, p.across(0), p.across(1), up(0), up(1))
	for share := 0.0; share <= 1; share += 0.25 {
		p.addf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, p.across(share), up(0)+15, tick(share))
	}
	draw := func(class string, bins []calibration.Bin) {
		var line []string
		for _, b := range bins {
			x, y := float64(b.Mean), float64(b.Kept)
			if b.Records == 0 || !(x >= 0 && x <= 1 && y >= 0 && y <= 1) {
				continue
			}
			line = append(line, fmt.Sprintf("%.1f,%.1f", p.across(x), up(y)))
			p.addf(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, class, p.across(x), up(y))
		}
		p.addf(`<polyline class="%s" points="%s"/>`, class, strings.Join(line, " "))
	}
	draw("before", before)
	draw("after", after)
	p.addf("</svg>")
	return p.String()
}
