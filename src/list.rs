//! What all lists of a packet have in common: made from slices, equal if their items are, shown
//! as their items.

/// Implements the traits of a list type that has a variant `List(&'a [Item])`, a method
/// `iter(&self) -> Iter` and the items `Item`.
macro_rules! list_traits {
    ($list:ident<$a:lifetime>, $item:ty, $iter:ty) => {
        impl Default for $list<'_> {
            fn default() -> Self {
                Self::List(&[])
            }
        }

        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        impl core::fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        impl<$a> From<&$a [$item]> for $list<$a> {
            fn from(list: &$a [$item]) -> Self {
                Self::List(list)
            }
        }

        impl<$a, const N: usize> From<&$a [$item; N]> for $list<$a> {
            fn from(list: &$a [$item; N]) -> Self {
                Self::List(list)
            }
        }

        impl<$a> IntoIterator for $list<$a> {
            type Item = $item;
            type IntoIter = $iter;

            #[inline]
            fn into_iter(self) -> $iter {
                self.iter()
            }
        }

        impl<$a> IntoIterator for &$list<$a> {
            type Item = $item;
            type IntoIter = $iter;

            #[inline]
            fn into_iter(self) -> $iter {
                self.iter()
            }
        }
    };
}

pub(crate) use list_traits;
