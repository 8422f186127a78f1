package main

import "strings"

// person is somebody with an account at the shop.
type person struct {
	Email, FirstName, LastName string
	EmailVerified              bool // followed the link in a message to this address
	Since                      string
	Orders                     []order
}

func (p person) Initials() string { return p.FirstName[:1] + p.LastName[:1] }

type order struct{ Number, Item, Date, Status string }

var people = []person{
	{
		Email: "first@example.com", FirstName: "Fiona", LastName: "First", EmailVerified: true, Since: "2021",
		Orders: []order{
			{"F-2048", "Harbour 7, moss green", "12 May", "On its way"},
			{"F-1877", "Lumen light set", "3 February", "Delivered"},
		},
	},
	{
		Email: "second@example.com", FirstName: "Sam", LastName: "Second", EmailVerified: true, Since: "2024",
		Orders: []order{
			{"F-2051", "Mule family cargo bike", "14 May", "In the workshop"},
		},
	},
}

func personByEmail(email string) (person, bool) {
	for _, p := range people {
		if strings.EqualFold(p.Email, strings.TrimSpace(email)) {
			return p, true
		}
	}
	return person{}, false
}

// product is a card on the first page. Icon and Tint are names in the templates
// and the style sheet.
type product struct{ Name, Kind, Note, Price, Icon, Tint string }

var products = []product{
	{"Harbour 7", "City", "Seven gears, a belt instead of a chain, and a basket for the market.", "€ 1,190", "city", "moss"},
	{"Ridge Two", "Gravel", "Wide tyres and calm steering, for where the road ends.", "€ 1,890", "road", "clay"},
	{"Mule", "Cargo", "Two children or a week's shopping, with room for the dog.", "€ 3,450", "cargo", "ochre"},
	{"Swift", "Road", "Nine kilograms of steel that want to be somewhere else.", "€ 2,240", "road", "sky"},
	{"Harbour Step", "City", "The low step-through frame, with lights that never need charging.", "€ 1,240", "city", "plum"},
	{"Lumen", "Lights", "Front and rear, seen from half a kilometre away.", "€ 79", "light", "night"},
}
